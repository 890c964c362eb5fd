// The messages of commands that Ctrl-C ends at once. Commands that change a live image replace the message as
// soon as they know the image's name (`Interruption.announce`). Commands that only read print nothing.

/// A command that reports, when it is interrupted, how much of its work is done.
protocol InterruptibleCommand {
  /// The state of the command's work, for "interrupted: …".
  var interruptedWords: String { get }
}

extension InterruptibleCommand {
  var interruptedWords: String { "nothing was changed" }
}

extension SnapshotCommand: InterruptibleCommand {
  var interruptedWords: String { "no snapshot was taken" }
}
extension Export: InterruptibleCommand {
  var interruptedWords: String { "no bundle was written" }
}
extension Pack: InterruptibleCommand {
  var interruptedWords: String { "no packed image was written" }
}
extension GC: InterruptibleCommand {
  var interruptedWords: String { "freed space stays free and no data is lost; run it again" }
}
extension Optimize: InterruptibleCommand {
  var interruptedWords: String { "rewritten packs stay and no data is lost; run it again" }
}
extension Repair: InterruptibleCommand {
  var interruptedWords: String { "no further data is lost; run it again" }
}
extension Recipes: InterruptibleCommand {
  var interruptedWords: String { "new recipes stay; run it again to continue" }
}
extension Restore: InterruptibleCommand {
  var interruptedWords: String { "the entries restored so far stay at the destination" }
}
extension Forget: InterruptibleCommand {
  var interruptedWords: String { "snapshots removed so far stay removed; run it again to continue" }
}
extension Revert: InterruptibleCommand {}
extension Undo: InterruptibleCommand {}
extension Import: InterruptibleCommand {}
extension Copy: InterruptibleCommand {}
extension Lite: InterruptibleCommand {}
