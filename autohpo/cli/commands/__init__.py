"""The commands, a module each: ``add_arguments(parser)`` says what one takes, ``run(args, output)`` does it."""
