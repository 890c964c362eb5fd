// The command imgimport: imports a bundle and defines its images. As with xCAT, it replaces an image of the
// same name; a snapshot of the replaced image can be restored.

import Glibc
import Images

/// The command imgimport.
struct XCATImport {
  let arguments: ImgimportArguments

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
      for path in image.removedFiles {
        XCATConsole.say("removed \(printable(path)), which the bundle does not have")
      }
      let wrong = image.problemLines
      problems += wrong
      if let undo = image.safety?.name { XCATConsole.say("undo with: imgstore revert \(undo)") }
      for line in BootCheck(workspace, image.name, writes: image.apply.writes).lines {
        XCATConsole.warn(line)
      }
      if wrong.isEmpty { XCATConsole.say("Successfully imported the image \(image.name).") }
    }
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems) }
  }

  /// Returns the path of the bundle: the argument itself, or else below the working directory.
  /// - Throws: `XCATMessage` if there is no readable file.
  private func find() throws -> String {
    let here = "\(workingDirectory())/\(arguments.bundle)"
    let paths = arguments.bundle.hasPrefix("/") ? [arguments.bundle, here] : [here]
    if let path = paths.first(where: { access($0, R_OK) == 0 }) { return path }
    throw XCATMessage("Cannot find \(here)")
  }

  private func fetch(_ workspace: Workspace, _ remote: RemoteFile) throws -> ImportOutcome {
    XCATConsole.say("Obtaining the image bundle from the remote system \(remote.text)")
    do {
      return try RemoteBundle(workspace, say: Terminal.say).fetch(remote) {
        try take($0, workspace)
      }
    } catch let error as BundleCopyError {
      throw XCATMessage(
        "Unable to copy the image bundle \(remote.path) from the remote host "
          + "(Maybe passwordless ssh was not setup?)",
        hint: "\(error.reason). \(error.hint)")
    }
  }

  private func take(_ file: String, _ workspace: Workspace) throws -> ImportOutcome {
    if arguments.isVerbose { XCATConsole.say("Bundle file is located at \(file)") }
    XCATConsole.say("Unbundling image...")
    var request = ImportRequest(file)
    request.form = .bundle
    request.profile = arguments.profile.flatMap { $0.isEmpty ? nil : $0 }
    request.nodes = arguments.nodes.flatMap { $0.isEmpty ? nil : $0 }
    // As xCAT does. New privileged files are listed, and a replaced image is snapshotted.
    request.replaces = true
    request.allowsPrivileged = true
    request.keepsOriginals = arguments.keepsOriginals
    let reporter = XCATImportReporter(isVerbose: arguments.isVerbose)
    let outcome = try workspace.importBundle(request) { reporter.report($0) }
    reporter.finish()
    return outcome
  }
}

/// Prints the progress of an import in xCAT's words.
private final class XCATImportReporter {
  private let isVerbose: Bool
  /// Whether the last event was a row of litefile.
  private var isAmongRows = false

  init(isVerbose: Bool) { self.isVerbose = isVerbose }

  func report(_ event: BundleEvent) {
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
    // Success is reported after the whole bundle is imported.
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
  /// The differences between the live image and the bundle, as lines.
  var problemLines: [String] {
    var lines = imgstore.problemLines(apply.report.problems) + limitLines(apply)
    if let remaining, !remaining.isEmpty {
      lines.append("the live image \(name) differs from the bundle: \(summary(remaining))")
    }
    return lines
  }
}
