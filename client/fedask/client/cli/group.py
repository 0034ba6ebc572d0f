"""``fedask device``: set up a device, look at its data, label, look after its store."""

import typer

from fedask.client.cli import (
    audit,
    doctor,
    exchange,
    init,
    label,
    serve,
    status,
    storage,
    studio,
    watch,
)

app = typer.Typer(
    help="Set up and look after the device that holds the data: its folder, its queue, "
    "its labels. Every command works on the folder in --site, and any number of them "
    "may run at once, beside a SuperNode too.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("init")(init.init_command)
app.command("doctor")(doctor.doctor_command)
app.command("status")(status.status_command)
app.command("serve")(serve.serve_command)
app.command("login")(serve.login_command)
app.command("label")(label.label_command)
app.command("run-once")(watch.run_once_command)
app.command("watch")(watch.watch_command)
app.command("add")(storage.add_command)
app.command("export")(exchange.export_command)
app.command("import")(exchange.import_command)
app.command("push")(studio.push_command)
app.command("pull")(studio.pull_command)
app.command("forget")(storage.forget_command)
app.command("rotate-key")(storage.rotate_key_command)
app.command("audit")(audit.audit_command)
