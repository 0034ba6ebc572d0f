"""The two apps of a scenario file: what ``fedask simulate SCENARIO.toml`` runs.

The same functions make them that a user's own app calls; only the task comes from the
scenario.
"""

from fedask.client.app import client_app
from fedask.server.app import server_app
from fedask.simulations.fleet.tasks import task_of

client = client_app(task_of)
server = server_app(task_of)
