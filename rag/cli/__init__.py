"""The command line: one subcommand per verb, thin over the services."""
