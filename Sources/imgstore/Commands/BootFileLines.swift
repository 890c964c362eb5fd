// What commands say of the files that an image's nodes boot, and the option --nodeset.

import ArgumentParser
import Images
import Platform

/// Has xCAT give nodes the boot files of the image as it has become.
struct NodesetOption: ParsableArguments {
  @Flag(help: "Run xCAT's nodeset afterwards for nodes that boot an old kernel or ramdisk")
  var nodeset = false

  /// Asked before anything is changed.
  func check(_ workspace: Workspace) throws {
    if nodeset { try workspace.requireNodeset() }
  }

  /// Compares the boot files of a changed image, and runs nodeset where that was asked for.
  /// - Parameter isDone: the image has become what it was to become.
  func follow(
    _ workspace: Workspace, _ image: String, writes: [[UInt8]], isDone: Bool
  ) -> BootCheck {
    var check = BootCheck(workspace, image, writes: writes)
    guard nodeset, let report = check.report, check.needsNodeset else { return check }
    if isDone {
      check.run(report, workspace)
    } else {
      check.remark = "nodeset was not run: the live image is not what it was to become"
    }
    return check
  }
}

/// What was found of the boot files of an image.
struct BootCheck {
  var report: BootFilesReport?
  var nodeset: NodesetOutcome?
  var remark: String?
  /// The paths that a change wrote just now.
  private let writes: Set<[UInt8]>

  /// Compares; what keeps that from being done is a remark.
  init(_ workspace: Workspace, _ image: String, writes: [[UInt8]] = []) {
    self.writes = Set(writes)
    do { report = try workspace.bootFiles(of: image) } catch {
      let why = (error as? any ExplainedError)?.statement ?? "\(error)"
      remark = "cannot say what the nodes of \(image) boot: \(why)"
    }
  }

  fileprivate mutating func run(_ report: BootFilesReport, _ workspace: Workspace) {
    do {
      nodeset = try workspace.runNodeset(report)
      if let after = nodeset?.after { self.report = after }
    } catch {
      remark = (error as? any ExplainedError)?.statement ?? "\(error)"
    }
  }

  private var hasChanged: Bool {
    report?.sources.contains { writes.contains($0.bytes) } ?? false
  }

  var needsNodeset: Bool {
    guard let report else { return false }
    return !report.nodes.isEmpty || (!report.elsewhere.isEmpty && hasChanged)
  }

  /// What a person must know of it before nodes boot.
  var lines: [String] {
    (remark.map { [$0] } ?? [])
      + (nodeset == nil ? report.map { bootLines($0, mentionsElsewhere: hasChanged) } ?? [] : [])
  }

  /// Says it, and returns what went wrong.
  func tell(_ json: JSONFlag) -> [String] {
    for line in lines { Terminal.warning(line) }
    guard let nodeset else { return [] }
    if let failure = nodeset.failure { return [failure] }
    if !nodeset.isDone {
      return ["'\(bounded(nodeset.command.text))' ended well, and the copies are not renewed"]
        + (nodeset.after.map { bootLines($0, mentionsElsewhere: false) } ?? [])
    }
    if !json.json { print("done: \(bounded(nodeset.command.text))") }
    return []
  }
}

/// What a person must know of the copies that nodes boot: a line for each folder with old ones.
func bootLines(_ report: BootFilesReport, mentionsElsewhere: Bool) -> [String] {
  var lines: [String] = []
  let folders = report.stale.reduce(into: [String]()) { folders, copy in
    let folder = copy.path.parent.text
    if folders.last != folder { folders.append(folder) }
  }
  for folder in folders {
    let stale = report.stale.filter { $0.path.parent.text == folder }
    let parts = [
      (BootCopy.State.differs, "is not the image's", "are not the image's"),
      (.missing, "is missing", "are missing"),
      (.unreadable, "cannot be compared", "cannot be compared"),
    ].compactMap { state, one, several -> String? in
      let names = stale.filter { $0.state == state }.map { printable($0.path.lastComponent) }
      if names.isEmpty { return nil }
      return "\(names.joined(separator: " and ")) \(names.count == 1 ? one : several)"
    }
    lines.append("\(folder): \(parts.joined(separator: "; "))")
  }
  let isElsewhere = mentionsElsewhere && !report.elsewhere.isEmpty
  let advice = report.command.map { "'\(bounded($0.text))' renews them" }
  if report.copies.contains(where: \.isOld) {
    if !report.nodes.isEmpty {
      lines.append(
        "\(nodesText(report.nodes)) \(report.nodes.count == 1 ? "boots" : "boot") these copies: "
          + (advice ?? "run nodeset for them"))
    } else if report.problem == nil {
      lines.append("no node is set to boot these copies; nodeset renews them")
    }
  }
  if isElsewhere {
    lines.append(
      "\(nodesText(report.elsewhere)) \(report.elsewhere.count == 1 ? "boots" : "boot") copies on "
        + "a service node, which cannot be seen from here: " + (advice ?? "run nodeset for them"))
  }
  if lines.isEmpty { return [] }
  if let problem = report.problem { lines.append("which nodes boot it is not known: \(problem)") }
  if !report.unclear.isEmpty {
    lines.append("what \(nodesText(report.unclear)) boots is not known: only xCAT can work it out")
  }
  return lines
}

/// "node1", "node1, node2 and node3", "64 nodes (node001, node002, …)".
private func nodesText(_ names: [String]) -> String {
  let shown = names.prefix(4).map { printable($0.utf8.prefix(255)) }
  if names.count == 1 { return shown[0] }
  if names.count > 4 {
    return "\(names.count) nodes (\(shown.prefix(3).joined(separator: ", ")), …)"
  }
  return shown.dropLast().joined(separator: ", ") + " and " + (shown.last ?? "")
}

/// A command's text for a line: ranges of many unlike names are cut, and JSON has them whole.
private func bounded(_ command: String) -> String {
  let text = printable(command.utf8)
  guard text.utf8.count > 1000 else { return text }
  return String(decoding: text.utf8.prefix(300), as: UTF8.self)
    + "… (whole in 'imgstore status --json', bootFiles.command)"
}

struct BootFilesJSON: Codable {
  struct Copy: Codable {
    let role: String
    let path: String
    let source: String
    let state: String
  }
  struct Nodeset: Codable {
    let command: String
    let done: Bool
    let failure: String?
  }
  let copies: [Copy]
  let current: Bool
  let nodes: [String]
  let elsewhere: [String]
  let unclear: [String]
  let command: String?
  let problem: String?
  let nodeset: Nodeset?

  /// - Returns: nil where nothing is known of copies.
  init?(_ check: BootCheck?) {
    guard let check, let report = check.report else { return nil }
    copies = report.copies.map {
      Copy(role: $0.role, path: $0.path.text, source: $0.source.text, state: $0.state.rawValue)
    }
    current = report.stale.isEmpty
    nodes = report.nodes
    elsewhere = report.elsewhere
    unclear = report.unclear
    command = report.command?.text
    problem = report.problem
    nodeset = check.nodeset.map {
      Nodeset(command: $0.command.text, done: $0.isDone, failure: $0.failure)
    }
  }
}
