"""Keys of rows in the store. Each is an integer; distinct types keep them from being mixed up."""

from typing import NewType

JobId = NewType("JobId", int)
RouteId = NewType("RouteId", int)
RequestId = NewType("RequestId", int)
EndpointId = NewType("EndpointId", int)
LaneId = NewType("LaneId", int)
HolderId = NewType("HolderId", int)
ResponseId = NewType("ResponseId", int)
