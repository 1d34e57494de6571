"""What `autohpo doctor` looks at: a store, the installation, the machine."""
