// imgstore clone.

import ArgumentParser
import Images

struct CloneCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "clone",
    abstract: "Make a new store with everything that a remote has",
    discussion: """
      The command fetches every snapshot of every image, with tags and pins, into the store of this machine \
      (or --store), and adds the remote as 'origin'. After the loss of a management node, it is the first \
      step on the new one; 'imgstore revert IMAGE@NUMBER' then restores an image with its definition. After \
      an interruption, the same command continues.

      Examples:
        imgstore clone /mnt/backup/imgstore --store /srv/new
      """)

  @Argument(help: "Address of the remote") var url: String
  @Flag(name: [.customShort("n"), .long], help: "Print what would be fetched") var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    try TransferText.report(try common.open().clone(url, isDryRun: dryRun), json)
  }
}
