// What a person is told where Ctrl-C ends a command at once. The verbs that change a live image say more, as soon
// as they know its name (`Interruption.announce`); commands that only show something say nothing.

/// A command of which a person asks what it has done when it is interrupted.
protocol InterruptibleCommand {
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
  var interruptedWords: String { "what was freed stays freed, and nothing is lost; run it again" }
}
extension Optimize: InterruptibleCommand {
  var interruptedWords: String { "what was rewritten stays, and nothing is lost; run it again" }
}
extension Repair: InterruptibleCommand {
  var interruptedWords: String { "nothing is lost that was not lost before; run it again" }
}
extension Recipes: InterruptibleCommand {
  var interruptedWords: String { "recipes that were found stay; run it again to go on" }
}
extension Restore: InterruptibleCommand {
  var interruptedWords: String { "what was restored so far stays at its destination" }
}
extension Forget: InterruptibleCommand {
  var interruptedWords: String { "snapshots that were forgotten stay so; run it again to go on" }
}
extension Revert: InterruptibleCommand {}
extension Undo: InterruptibleCommand {}
extension Import: InterruptibleCommand {}
extension Copy: InterruptibleCommand {}
extension Lite: InterruptibleCommand {}
