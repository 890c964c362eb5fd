// imgstore status.

import ArgumentParser
import Images

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Compare the live image with its latest snapshot",
    discussion: """
      Nodes boot copies of kernel and ramdisk that xCAT's nodeset makes in the TFTP directory. The \
      command compares these copies with the image, too. An old copy is a warning and does not \
      change the exit code. It also lists the nodes that boot the image, according to xCAT's tables \
      nodetype and bootparams.

      The latest snapshot may be an automatic one, taken before or after a revert; the output says so, \
      and names the latest snapshot that you took or reverted to. With -q, the command prints no \
      differences, and ends with code 7 if there are any.
      """)

  @Argument(help: "Name of the image; optional if there is only one") var name: String?
  @Flag(help: "Compare all images that have snapshots") var all = false
  @OptionGroup var exit: ExitCodeFlag
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if all, name != nil { throw ValidationError("Name an image, or give --all.") }
  }

  func run() throws {
    let workspace = try common.open()
    guard all else { return try compare(name ?? "", workspace) }
    var documents: [StatusJSON] = []
    var failures: [any Error] = []
    var problems: [String] = []
    for image in try workspace.images() where image.snapshots > 0 && !image.isStaged {
      do { try compare(image.name, workspace) { documents.append($0) } } catch {
        failures.append(error)
        switch error {
        case let error as CompletedWithWarnings: problems += error.lines
        case let error as any ExplainedError: problems.append(error.messageWithHint)
        default: break
        }
      }
    }
    Terminal.finish()
    if json.json { try printJSON(StatusesJSON(images: documents)) }
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems) }
    if let first = failures.first { throw first }
  }

  /// Compares one image.
  /// - Parameter collect: receives the document with --all, which prints the documents of all images
  ///   together.
  private func compare(
    _ name: String, _ workspace: Workspace, _ collect: ((StatusJSON) -> Void)? = nil
  ) throws {
    let status = try reportingNodes(of: name, workspace, json) { try workspace.status(name) }
    let boot = BootCheck(workspace, status.snapshot.snapshot.image)
    let nodes = NodeCheck(workspace, status.snapshot.snapshot.image)
    if collect == nil { Terminal.finish() } else { Terminal.clear() }
    if json.json {
      let document = StatusJSON(status: status, boot: boot, nodes: nodes)
      if let collect { collect(document) } else { try printJSON(document) }
    } else if !common.quiet {
      describe(status)
      for (pattern, entries) in status.excluded {
        print("  left out: \(count(entries, "entry")) by '\(printable(pattern.utf8))'")
      }
      for (pattern, entries) in status.excludedBefore {
        print(
          "  no longer left out: \(count(entries, "entry")) by '\(printable(pattern.utf8))'; "
            + "the next snapshot adds \(entries == 1 ? "it" : "them")")
      }
      if let line = nodes.line { print("  \(line)") }
    }
    if let problem = nodes.problem { Terminal.warning(problem) }
    _ = boot.printResult(json)
    for note in status.notes where note.isRemark { Terminal.warning(noteText(note)) }
    if let change = status.unfinished, !change.isRunning {
      throw CompletedWithWarnings(
        lines: ["image \(change.image) has an unfinished change: \(unfinishedText(change))"])
    }
    if let tree = status.missingTree {
      throw CompletedWithWarnings(
        lines: [
          "the root tree \(printable(tree)) does not exist. 'imgstore revert "
            + "\(shellQuoted(status.snapshot.name))' restores it"
        ])
    }
    try expectComparable(status.uncompared)
    try exit.expectEqual(status.diff, quiet: common.quiet && !json.json)
  }

  private func describe(_ status: StatusOutcome) {
    let name = status.snapshot.name + automaticText(status.snapshot.snapshot)
    if status.isClean, !status.uncompared.isEmpty {
      print("no difference found from \(name), but not everything was compared")
    } else if status.isClean {
      print("live image is identical to \(name) (\(status.snapshot.id.shortHex))")
      print(
        "  \(count(status.entryCount, "entry")) compared, \(sizeText(status.readBytes)) read; "
          + secondsText(status.seconds))
    } else {
      StandardOutput.begin(pages: false)
      DiffText(status.diff).printAll(limit: 40)
      print("\nlive image differs from \(name): \(summary(status.diff))")
    }
    if let baseline = status.baseline {
      print(
        "  'imgstore diff \(status.snapshot.snapshot.image)' compares it with \(baseline.name), the "
          + "latest that you took or reverted to")
    }
  }
}
