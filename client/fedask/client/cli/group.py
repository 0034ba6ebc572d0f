"""The commands of ``fedask device``: each is imported when it runs."""

from typing import ClassVar

from fedask.common.command_table import CommandTable


class DeviceCommands(CommandTable):
    """Set up and look after the device that holds the data: its queue, its labels.

    Every command works on the folder in --site, and any number of them may run at once,
    beside a SuperNode too.
    """

    targets: ClassVar = {
        "init": "fedask.client.cli.init:init_command",
        "doctor": "fedask.client.cli.doctor:doctor_command",
        "status": "fedask.client.cli.status:status_command",
        "serve": "fedask.client.cli.serve:serve_command",
        "login": "fedask.client.cli.serve:login_command",
        "label": "fedask.client.cli.label:label_command",
        "run-once": "fedask.client.cli.watch:run_once_command",
        "watch": "fedask.client.cli.watch:watch_command",
        "add": "fedask.client.cli.storage:add_command",
        "export": "fedask.client.cli.exchange:export_command",
        "import": "fedask.client.cli.exchange:import_command",
        "push": "fedask.client.cli.studio:push_command",
        "pull": "fedask.client.cli.studio:pull_command",
        "forget": "fedask.client.cli.storage:forget_command",
        "rotate-key": "fedask.client.cli.storage:rotate_key_command",
        "audit": "fedask.client.cli.audit:audit_command",
    }
