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
    let workspace = try XCATVoice.open()
    let outcome: ImportOutcome
    if let host = arguments.remoteHost {
      outcome = try fetch(workspace, RemoteFile(host: host, path: arguments.bundle))
    } else {
      outcome = try take(try find(), workspace)
    }
    Terminal.finish()
    var problems: [String] = []
    for image in outcome.images {
      for remark in image.remarks + image.notes.map(noteText) { XCATVoice.warn(remark) }
      for item in image.siteReplacements {
        XCATVoice.warn("\(item.name) was replaced: it is \(item.effect.text)")
      }
      for entry in image.privileged where !entry.isExpected {
        XCATVoice.warn(
          "\(printable(entry.path)) came with the bundle (\(entry.detail)), and no package owns it")
      }
      let wrong = image.problemLines
      problems += wrong
      if let undo = workspace.undo(image) { XCATVoice.say("undo with: imgstore revert \(undo)") }
      for line in BootCheck(workspace, image.name, writes: image.apply.writes).lines {
        XCATVoice.warn(line)
      }
      if wrong.isEmpty { XCATVoice.say("Successfully imported the image \(image.name).") }
    }
    if !problems.isEmpty { throw DoneWithProblems(lines: problems) }
  }

  /// As it is given, then in the working folder.
  private func find() throws -> String {
    let here = "\(workingDirectory())/\(arguments.bundle)"
    let places = arguments.bundle.hasPrefix("/") ? [arguments.bundle, here] : [here]
    if let place = places.first(where: { access($0, R_OK) == 0 }) { return place }
    throw XCATMessage("Cannot find \(here)")
  }

  private func fetch(_ workspace: Workspace, _ remote: RemoteFile) throws -> ImportOutcome {
    XCATVoice.say("Obtaining the image bundle from the remote system \(remote.text)")
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
    if arguments.isVerbose { XCATVoice.say("Bundle file is located at \(file)") }
    XCATVoice.say("Unbundling image...")
    var request = ImportRequest(file)
    request.profile = arguments.profile.flatMap { $0.isEmpty ? nil : $0 }
    request.nodes = arguments.nodes.flatMap { $0.isEmpty ? nil : $0 }
    // As xCAT does; what comes is listed, and what it replaces is kept.
    request.replaces = true
    request.allowsPrivileged = true
    request.keepsOriginals = arguments.keepsOriginals
    let narrator = ImportNarrator(isVerbose: arguments.isVerbose)
    let outcome = try workspace.importBundle(request) { narrator.tell($0) }
    narrator.finish()
    return outcome
  }
}

/// Says what happens in xCAT's lines.
private final class ImportNarrator {
  private let isVerbose: Bool
  /// Between the first row of litefile and whatever follows the last.
  private var isAmongRows = false

  init(isVerbose: Bool) { self.isVerbose = isVerbose }

  func tell(_ event: BundleEvent) {
    if case .litefileRow(let line) = event {
      if !isAmongRows { XCATVoice.say("Updating the litefile table.") }
      isAmongRows = true
      XCATVoice.say(line)
      return
    }
    finish()
    switch event {
    case .foundImage(let name): if isVerbose { XCATVoice.say("Adding \(name)") }
    case .placing(let path): XCATVoice.say(path)
    case .keptOriginal(let path, let copy): XCATVoice.say("  Moving old \(path) to \(copy).")
    case .placingTree: XCATVoice.say("Extracting rootimgtree.gz. It will take a while.")
    case .addingPostscripts: XCATVoice.say("Adding postscripts.")
    // Success is said when the whole bundle is in.
    case .imported, .litefileRow, .foundTemplate, .packingTree, .litefileRows, .collected,
      .collectedExtra, .writing:
      break
    }
  }

  func finish() {
    guard isAmongRows else { return }
    isAmongRows = false
    XCATVoice.say(
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
