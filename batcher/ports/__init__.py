"""The interfaces between the parts: small Protocols, each method a contract.

worker    what the worker depends on: queue, sender, budget, events
runner    what the services need of a runner in this process: what it shows, and what makes it
store     what the services need of a store: transactions, coordination of processes, upkeep
"""

from batcher.ports.runner import OwnRunner as OwnRunner
from batcher.ports.runner import QueueMaker as QueueMaker
from batcher.ports.runner import RunnerMaker as RunnerMaker
from batcher.ports.store import Coordination as Coordination
from batcher.ports.store import RunnerRole as RunnerRole
from batcher.ports.store import Store as Store
from batcher.ports.store import Upkeep as Upkeep
from batcher.ports.store import Writer as Writer
from batcher.ports.worker import Budget as Budget
from batcher.ports.worker import Clock as Clock
from batcher.ports.worker import Events as Events
from batcher.ports.worker import InFlightLog as InFlightLog
from batcher.ports.worker import NamesKey as NamesKey
from batcher.ports.worker import OutputValidator as OutputValidator
from batcher.ports.worker import Queue as Queue
from batcher.ports.worker import Reservation as Reservation
from batcher.ports.worker import Sender as Sender
