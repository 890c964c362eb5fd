// The messages of commands that Ctrl-C ends at once. Commands that change a live image replace the message as
// soon as they know the image's name (`Interruption.announce`). Commands that only read print nothing.

import ArgumentParser

/// Returns the state of a command's work when it is interrupted, for "interrupted: …"; nil for a command that
/// only reads.
func interruptionMessage(of command: any ParsableCommand) -> String? {
  switch command {
  case is SnapshotCommand: "no snapshot was taken"
  case is ExportCommand: "no bundle was written"
  case is PackCommand: "no packed image was written"
  case is GCCommand: "freed space stays free and no data is lost; run it again"
  case is OptimizeCommand: "rewritten packs stay and no data is lost; run it again"
  case is RepairCommand: "no further data is lost; run it again"
  case is RecipesCommand: "new recipes stay; run it again to continue"
  case is RunCommand: "the command was not started"
  case is RestoreCommand: "the entries restored so far stay at the destination"
  case is ForgetCommand: "snapshots removed so far stay removed; run it again to continue"
  case is PushCommand, is PullCommand, is CloneCommand:
    "what has arrived stays; run it again to continue"
  case is RevertCommand, is UndoCommand, is ImportCommand, is CopyCommand, is LiteCommand:
    "nothing was changed"
  default: nil
  }
}
