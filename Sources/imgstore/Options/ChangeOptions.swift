// The options of `revert` and `undo`.

import ArgumentParser
import Images

/// The options of commands that change a live tree.
struct ChangeOptions: ParsableArguments {
  @Flag(help: "Build the tree next to the live one and exchange the two in one step")
  var swap = false
  @Flag(help: "Change the live tree in place, one entry at a time") var inPlace = false
  @Flag(help: "Do not snapshot unsaved changes first") var noSafety = false
  @Flag(name: [.customShort("n"), .long], help: "Print the plan without changing anything")
  var dryRun = false
  @Flag(help: "With --dry-run, list every step") var all = false

  func validate() throws {
    if swap && inPlace { throw ValidationError("Give --swap or --in-place, not both.") }
  }

  @Option(
    help: "Also change this file or directory outside the image's own directories; repeatable")
  var allow: [String] = []
  @Flag(help: "Change every file that the image's attributes name, wherever it is")
  var outside = false

  @OptionGroup var trust: TrustOptions

  /// Returns a request for a revert with these options.
  func request(_ reference: String) -> RevertRequest {
    var request = RevertRequest(reference)
    request.method = swap ? .swap : inPlace ? .inPlace : .automatic
    request.keepsSafety = !noSafety
    request.isDryRun = dryRun
    request.allowed = allow
    request.allowsOutside = outside
    request.trust = trust.trust
    return request
  }
}

/// The exceptions for a snapshot that came from a remote.
struct TrustOptions: ParsableArguments {
  @Flag(
    help:
      "Accept privileged files that no package owns, in a snapshot that came from a remote")
  var allowPrivileged = false
  @Flag(help: "Accept values that a shell would interpret, in a snapshot that came from a remote")
  var allowUnsafeValues = false

  /// The rules for the request.
  var trust: PulledSnapshotTrust {
    var trust = PulledSnapshotTrust()
    trust.allowsPrivileged = allowPrivileged
    trust.allowsUnsafeValues = allowUnsafeValues
    return trust
  }
}
