from trial import Kind
from workers import *
KINDS = {k.name: k for k in (
 Kind("worker killed", worker_killed, 8),
 Kind("workers killed", workers_killed, 8),
 Kind("record killed", record_killed, 2),
 Kind("killed in setup", setup_killed, 4),
 Kind("machine killed", machine_killed, 5, False),
 Kind("poison row", poison, 4))}
