"""What every surface offers, one file a use. A service takes an open store and plain values; it prints nothing.

opening       the store for a command, upgraded where the command may
submitting    a job file goes in
running       jobs run to their end, here or by a runner that lives already
exporting     results and errors come out
status        how a job stands
jobs          cancel and delete
checking      a job file looked at without a store or a network
door          lines of a job file, checked
dead_letters  listed, and one shown with its history
summarizing   dead letters by cause, with figures
redriving     dead letters back to pending; editing changes their bodies, probing sends one first
extracting    dead letters as a job file again
discarding    dead letters given up
cache         answers kept for reuse
database      upgrade, check and backup of the store
"""
