// imgimport: a bundle becomes live and defined; an image of that name is replaced, as with xCAT, and
// what was there before can be had back.

import Glibc
import Images
import Platform
import Store
import XCAT

struct XCATImport {
  private let arguments: ImgimportArguments

  init(_ arguments: ImgimportArguments) { self.arguments = arguments }

  func run() throws {
    let workspace = try XCATConsole.open()
    let outcome: ImportOutcome
    if let host = arguments.remoteHost {
      outcome = try fetch(workspace, RemoteFile(host: host, path: arguments.bundle))
    } else {
      outcome = try take(try find(), workspace)
    }
    Terminal.finish()
    var problems: [String] = []
    for image in outcome.images {
      for remark in image.remarks + image.notes.map(noteText) { XCATConsole.warn(remark) }
      for item in image.siteReplacements {
        XCATConsole.warn("\(item.name) was replaced: it is \(item.effect.text)")
      }
      for entry in image.privileged where !entry.isExpected {
        XCATConsole.warn(
          "\(printable(entry.path)) came with the bundle (\(entry.detail)), and no package owns it")
      }
      let wrong = image.problemLines
      problems += wrong
      if let undo = workspace.undo(image) { XCATConsole.say("undo with: imgstore revert \(undo)") }
      for line in BootCheck(workspace, image.name, writes: image.apply.writes).lines {
        XCATConsole.warn(line)
      }
      if wrong.isEmpty { XCATConsole.say("Successfully imported the image \(image.name).") }
    }
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems) }
  }

  /// As it is given, then in the working folder.
  private func find() throws -> String {
    let here = "\(workingDirectory())/\(arguments.bundle)"
    let places = arguments.bundle.hasPrefix("/") ? [arguments.bundle, here] : [here]
    if let place = places.first(where: { access($0, R_OK) == 0 }) { return place }
    throw XCATMessage("Cannot find \(here)")
  }

  private func fetch(_ workspace: Workspace, _ remote: RemoteFile) throws -> ImportOutcome {
    XCATConsole.say("Obtaining the image bundle from the remote system \(remote.text)")
    do {
      return try RemoteBundle.fetch(workspace, remote) { try take($0, workspace) }
    } catch let error as TransferError {
      throw XCATMessage(
        "Unable to copy the image bundle \(remote.path) from the remote host "
          + "(Maybe passwordless ssh was not setup?)",
        advice: "\(error.finding). \(error.advice)")
    }
  }

  private func take(_ file: String, _ workspace: Workspace) throws -> ImportOutcome {
    if arguments.isVerbose { XCATConsole.say("Bundle file is located at \(file)") }
    XCATConsole.say("Unbundling image...")
    var request = ImportRequest(file)
    request.profile = arguments.profile.flatMap { $0.isEmpty ? nil : $0 }
    request.nodes = arguments.nodes.flatMap { $0.isEmpty ? nil : $0 }
    // As xCAT does; what comes is listed, and what it replaces is kept.
    request.replaces = true
    request.allowsPrivileged = true
    request.keepsOriginals = arguments.keepsOriginals
    let narrator = XCATImportReporter(isVerbose: arguments.isVerbose)
    let outcome = try workspace.importBundle(request) { narrator.tell($0) }
    narrator.finish()
    return outcome
  }
}

/// Says what happens in xCAT's lines.
private final class XCATImportReporter {
  private let isVerbose: Bool
  /// Between the first row of litefile and whatever follows the last.
  private var isAmongRows = false

  init(isVerbose: Bool) { self.isVerbose = isVerbose }

  func tell(_ event: BundleEvent) {
    if case .litefileRow(let line) = event {
      if !isAmongRows { XCATConsole.say("Updating the litefile table.") }
      isAmongRows = true
      XCATConsole.say(line)
      return
    }
    finish()
    switch event {
    case .foundImage(let name): if isVerbose { XCATConsole.say("Adding \(name)") }
    case .placing(let path): XCATConsole.say(path)
    case .keptOriginal(let path, let copy): XCATConsole.say("  Moving old \(path) to \(copy).")
    case .placingTree: XCATConsole.say("Extracting rootimgtree.gz. It will take a while.")
    case .addingPostscripts: XCATConsole.say("Adding postscripts.")
    // Success is said when the whole bundle is in.
    case .imported, .litefileRow, .foundTemplate, .packingTree, .litefileRows, .collected,
      .collectedExtra, .writing:
      break
    }
  }

  func finish() {
    guard isAmongRows else { return }
    isAmongRows = false
    XCATConsole.say(
      "The litetree and statelite tables are untouched. You can update them if needed.")
  }
}

extension ImportedImage {
  /// What did not come out as the bundle says.
  var problemLines: [String] {
    var lines = imgstore.problemLines(apply.report.problems) + limitLines(apply)
    if let remaining, !remaining.isEmpty {
      lines.append("the live image \(name) differs from the bundle: \(summary(remaining))")
    }
    return lines
  }
}

extension Workspace {
  /// The snapshot of what was there before an import; nil in a dry run.
  func undo(_ image: ImportedImage) -> String? {
    image.safety?.name
  }
}
