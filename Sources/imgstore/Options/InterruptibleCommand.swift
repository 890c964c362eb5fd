// The messages of commands that Ctrl-C ends at once. Commands that change a live image replace the message as
// soon as they know the image's name (`Interruption.announce`). Commands that only read print nothing.

/// A command that reports, when it is interrupted, how much of its work is done.
protocol InterruptibleCommand {
  /// The state of the command's work, for "interrupted: …".
  var interruptionMessage: String { get }
}

extension InterruptibleCommand {
  var interruptionMessage: String { "nothing was changed" }
}

extension SnapshotCommand: InterruptibleCommand {
  var interruptionMessage: String { "no snapshot was taken" }
}
extension ExportCommand: InterruptibleCommand {
  var interruptionMessage: String { "no bundle was written" }
}
extension PackCommand: InterruptibleCommand {
  var interruptionMessage: String { "no packed image was written" }
}
extension GCCommand: InterruptibleCommand {
  var interruptionMessage: String { "freed space stays free and no data is lost; run it again" }
}
extension OptimizeCommand: InterruptibleCommand {
  var interruptionMessage: String { "rewritten packs stay and no data is lost; run it again" }
}
extension RepairCommand: InterruptibleCommand {
  var interruptionMessage: String { "no further data is lost; run it again" }
}
extension RecipesCommand: InterruptibleCommand {
  var interruptionMessage: String { "new recipes stay; run it again to continue" }
}
extension RestoreCommand: InterruptibleCommand {
  var interruptionMessage: String { "the entries restored so far stay at the destination" }
}
extension ForgetCommand: InterruptibleCommand {
  var interruptionMessage: String {
    "snapshots removed so far stay removed; run it again to continue"
  }
}
extension RevertCommand: InterruptibleCommand {}
extension UndoCommand: InterruptibleCommand {}
extension ImportCommand: InterruptibleCommand {}
extension CopyCommand: InterruptibleCommand {}
extension LiteCommand: InterruptibleCommand {}
