// The options of `revert` and `undo`.

import ArgumentParser
import Images

/// How a live tree is changed.
struct ChangeOptions: ParsableArguments {
  @Flag(help: "Build the tree beside the live one, and exchange the two in one step.")
  var swap = false
  @Flag(help: "Make the changes in the live tree, one entry at a time.") var inPlace = false
  @Flag(help: "Do not take a snapshot of what would be lost.") var noSafety = false
  @Flag(name: [.customShort("n"), .long], help: "Print what would be done; change nothing.")
  var dryRun = false
  @Flag(help: "With --dry-run: every step, a line each.") var all = false

  func validate() throws {
    if swap && inPlace { throw ValidationError("Give --swap or --in-place, not both.") }
  }

  @Option(help: "Also change this file or folder outside of the image's own places.")
  var allow: [String] = []
  @Flag(help: "Change whatever the image's attributes name, wherever it lies.")
  var outside = false

  func request(_ reference: String) -> RevertRequest {
    var request = RevertRequest(reference)
    request.method = swap ? .swap : inPlace ? .inPlace : .automatic
    request.keepsSafety = !noSafety
    request.isDryRun = dryRun
    request.allowed = allow
    request.allowsOutside = outside
    return request
  }
}
