// imgstore push.

import ArgumentParser
import Images

struct PushCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "push",
    abstract: "Send snapshots to a remote",
    discussion: """
      Only what the remote lacks is sent, and the remote has the snapshot only after it has verified \
      everything. A snapshot has the same id there, and a number of the remote's own history. After an \
      interruption, the same command continues.

      Examples:
        imgstore push mn2 compute
        imgstore push depot compute@golden --tags
        imgstore push backup --all
      """)

  @Argument(help: "Name or address of the remote") var remote: String
  @Argument(help: "Snapshots, or ranges such as compute@3..7") var refs: [String] = []
  @Flag(help: "Send every snapshot of every image, with tags and pins") var all = false
  @Flag(help: "Also send the tags of the snapshots") var tags = false
  @Flag(name: [.customShort("n"), .long], help: "Print what would be sent") var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if refs.isEmpty != all { throw ValidationError("Name snapshots, or give --all.") }
  }

  func run() throws {
    var request = PushRequest(remote, refs)
    request.sendsAll = all
    request.sendsTags = tags
    request.isDryRun = dryRun
    try TransferText.report(try common.open().push(request), json)
  }
}
