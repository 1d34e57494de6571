"""The controller: a search that is started, watched and stopped by methods named as in ClearML."""
