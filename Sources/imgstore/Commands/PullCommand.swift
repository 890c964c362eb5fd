// imgstore pull.

import ArgumentParser
import Images

struct PullCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "pull",
    abstract: "Fetch snapshots from a remote",
    discussion: """
      Only what this store lacks is fetched, and everything is verified before the snapshot exists here. \
      No live image is changed, unless --apply reverts it to the snapshot. 'imgstore revert' does the same \
      later. The tags of the snapshots come along. After an interruption, the same command continues.

      Examples:
        imgstore pull mn2 compute
        imgstore pull mn2 compute@golden --apply
        imgstore pull depot compute@12 --as compute-test
        imgstore pull mn2 --all
      """)

  @Argument(help: "Name or address of the remote") var remote: String
  @Argument(help: "Snapshots, as in the histories of the remote") var refs: [String] = []
  @Flag(help: "Fetch every snapshot of every image, with tags and pins") var all = false
  @Flag(help: "Revert the live image to the snapshot") var apply = false
  @Option(
    name: .customLong("as"),
    help: ArgumentHelp("Name of the image here; the snapshot gets another id", valueName: "image"))
  var image: String?
  @Option(
    help: "With --apply, also change this file or directory outside the image's own; repeatable")
  var allow: [String] = []
  @OptionGroup var trust: TrustOptions
  @Flag(name: [.customShort("n"), .long], help: "Print what would be fetched") var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if refs.isEmpty != all { throw ValidationError("Name snapshots, or give --all.") }
    if !apply, !allow.isEmpty || trust.allowPrivileged || trust.allowUnsafeValues {
      throw ValidationError("--allow and its variants need --apply.")
    }
  }

  func run() throws {
    var request = PullRequest(remote, refs)
    request.fetchesAll = all
    request.applies = apply
    request.image = image
    request.isDryRun = dryRun
    request.allowed = allow
    request.trust = trust.trust
    try TransferText.report(try common.open().pull(request), json)
  }
}
