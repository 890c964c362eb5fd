// imgstore which.

import ArgumentParser
import Images

struct WhichCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "which",
    abstract: "Find the snapshot of a packed image, or of the image that a node runs",
    discussion: """
      WHAT is the UUID of a packed image, a file, or a node. A word with a '/' and the name of an existing \
      file is a file: a packed image, or any other file of an image, such as a kernel. Any other word is \
      a node, which is asked with xdsh for its /opt/xcat/xcatinfo.

      The command finds images that 'pack' or xCAT's packimage made, as long as a snapshot has the tree. \
      Several snapshots may have the same root tree.

      Examples:
        imgstore which /install/netboot/rhels9.4/x86_64/compute/rootimg.cpio.gz
      """)

  @Argument(help: "UUID, file or node") var what: String
  @Flag(help: "WHAT is a node, even if a file has the name") var node = false
  @OptionGroup var timeout: NodeTimeoutOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    if !node, let uuid = ImageUUID(what) {
      return try show(try workspace.which(uuid))
    }
    if !node, what.contains("/") || workspace.isFile(what) {
      return try show(try workspace.which(file: what))
    }
    let report = try workspace.which(node: what, timeoutSeconds: timeout.timeout)
    Terminal.finish()
    if json.json { try printJSON(report) }
    guard let group = report.groups.first else {
      let reason = report.silent.first?.reason ?? "did not answer"
      throw CompletedWithWarnings(lines: ["node \(what): \(reason)"], failure: .notFound)
    }
    guard !json.json else { return }
    if group.matches.isEmpty { throw missing("the image that \(what) runs (\(group.uuid))") }
    print(
      "\(what) runs \(group.matches.map(matchText).joined(separator: ", ")), UUID \(group.uuid)")
  }

  private func show(_ search: BuildSearch) throws {
    Terminal.finish()
    if json.json { try printJSON(search) }
    if search.matches.isEmpty { throw missing(search.subject) }
    guard !json.json else { return }
    for match in search.matches { print(matchText(match)) }
  }

  private func missing(_ subject: String) -> ImageError {
    ImageError(
      .snapshotNotFound, subject, "is of no snapshot in this store",
      hint: "Another store may have it: pass --store")
  }
}

/// Returns a snapshot with the evidence for it.
func matchText(_ match: BuildMatch) -> String {
  let text =
    switch match.evidence {
    case .record: ""
    case .tree: " (its root tree has the UUID)"
    case .sameTree: " (the same root tree)"
    case .file: " (has the file)"
    }
  return "\(match.snapshot)\(match.exists ? "" : " (removed)")\(text)"
}

/// How long a node may take to answer.
struct NodeTimeoutOption: ParsableArguments {
  @Option(help: ArgumentHelp("Wait at most this long for each node", valueName: "seconds"))
  var timeout = 10

  func validate() throws {
    guard (1...3600).contains(timeout) else {
      throw ValidationError("invalid timeout \(timeout); use 1 to 3600 seconds.")
    }
  }
}
