// The boot files of an image's nodes (docs/xcat-contract.md): their comparison, their lines and JSON form,
// and the option --nodeset.

import ArgumentParser
import Images
import Platform

/// The option --nodeset: xCAT copies the boot files of the changed image to the nodes.
struct NodesetOption: ParsableArguments {
  @Flag(help: "Run xCAT's nodeset afterwards for nodes that boot an old kernel or ramdisk")
  var nodeset = false

  /// Checks, before any change, that nodeset can run.
  /// - Throws: `ImageError` if it cannot.
  func check(_ workspace: Workspace) throws {
    if nodeset { try workspace.requireNodeset() }
  }

  /// Compares the boot files of a changed image, and runs nodeset if the user asked for it.
  /// - Parameters:
  ///   - writes: The paths that the change wrote.
  ///   - isDone: Whether the live image matches the target of the change.
  func follow(
    _ workspace: Workspace, _ image: String, writes: [[UInt8]], isDone: Bool
  ) -> BootCheck {
    var check = BootCheck(workspace, image, writes: writes)
    guard nodeset, let report = check.report, check.needsNodeset else { return check }
    if isDone {
      check.run(report, workspace)
    } else {
      check.remark = "nodeset was not run: the live image does not match the target of the change"
    }
    return check
  }
}

/// The result of a comparison of an image's boot files.
struct BootCheck {
  var report: BootFilesReport?
  var nodeset: NodesetOutcome?
  var remark: String?
  /// The paths that the change wrote.
  private let writes: Set<[UInt8]>

  /// Compares the boot files. If that fails, the reason is a remark.
  init(_ workspace: Workspace, _ image: String, writes: [[UInt8]] = []) {
    self.writes = Set(writes)
    do { report = try workspace.bootFiles(of: image) } catch {
      let reason = (error as? any ExplainedError)?.message ?? "\(error)"
      remark = "cannot determine which files the nodes of \(image) boot: \(reason)"
    }
  }

  fileprivate mutating func run(_ report: BootFilesReport, _ workspace: Workspace) {
    do {
      nodeset = try workspace.runNodeset(report)
      if let after = nodeset?.after { self.report = after }
    } catch {
      remark = (error as? any ExplainedError)?.message ?? "\(error)"
    }
  }

  private var hasChanged: Bool {
    report?.sources.contains { writes.contains($0.bytes) } ?? false
  }

  /// Whether nodes boot copies that may be old.
  var needsNodeset: Bool {
    guard let report else { return false }
    return !report.nodes.isEmpty || (!report.elsewhere.isEmpty && hasChanged)
  }

  /// The warnings for the user.
  var lines: [String] {
    (remark.map { [$0] } ?? [])
      + (nodeset == nil ? report.map { bootLines($0, reportsElsewhere: hasChanged) } ?? [] : [])
  }

  /// Prints the warnings and the result of nodeset.
  /// - Returns: The problems.
  func printResult(_ json: JSONFlag) -> [String] {
    for line in lines { Terminal.warning(line) }
    guard let nodeset else { return [] }
    if let failure = nodeset.failure { return [failure] }
    if !nodeset.isDone {
      return ["'\(bounded(nodeset.command.text))' succeeded, but the copies are still old"]
        + (nodeset.after.map { bootLines($0, reportsElsewhere: false) } ?? [])
    }
    if !json.json { print("done: \(bounded(nodeset.command.text))") }
    return []
  }
}

/// Returns the warnings about the copies that nodes boot: a line for each directory with old copies, then
/// hint.
func bootLines(_ report: BootFilesReport, reportsElsewhere: Bool) -> [String] {
  var lines: [String] = []
  let directories = report.stale.reduce(into: [String]()) { directories, copy in
    let directory = copy.path.parent.text
    if directories.last != directory { directories.append(directory) }
  }
  for directory in directories {
    let stale = report.stale.filter { $0.path.parent.text == directory }
    let parts = [
      (BootCopy.State.differs, "does not match the image", "do not match the image"),
      (.missing, "is missing", "are missing"),
      (.unreadable, "cannot be compared", "cannot be compared"),
    ].compactMap { state, one, several -> String? in
      let names = stale.filter { $0.state == state }.map { printable($0.path.lastComponent) }
      if names.isEmpty { return nil }
      return "\(names.joined(separator: " and ")) \(names.count == 1 ? one : several)"
    }
    lines.append("\(directory): \(parts.joined(separator: "; "))")
  }
  let isElsewhere = reportsElsewhere && !report.elsewhere.isEmpty
  let hint = report.command.map { "'\(bounded($0.text))' updates them" }
  if report.copies.contains(where: \.isOld) {
    if !report.nodes.isEmpty {
      lines.append(
        "\(nodesText(report.nodes)) \(report.nodes.count == 1 ? "boots" : "boot") these copies: "
          + (hint ?? "run nodeset for them"))
    } else if report.problem == nil {
      lines.append("no node is set to boot these copies; nodeset updates them")
    }
  }
  if isElsewhere {
    lines.append(
      "\(nodesText(report.elsewhere)) \(report.elsewhere.count == 1 ? "boots" : "boot") copies on "
        + "a service node, which this machine cannot read: " + (hint ?? "run nodeset for them"))
  }
  if lines.isEmpty { return [] }
  if let problem = report.problem {
    lines.append("cannot determine which nodes boot it: \(problem)")
  }
  if !report.unclear.isEmpty {
    lines.append(
      "cannot determine what \(nodesText(report.unclear)) boots: only xCAT can evaluate it")
  }
  return lines
}

/// Returns names of nodes: "node1", "node1, node2 and node3", "64 nodes (node001, node002, …)".
private func nodesText(_ names: [String]) -> String {
  let shown = names.prefix(4).map { printable($0.utf8.prefix(255)) }
  if names.count == 1 { return shown[0] }
  if names.count > 4 {
    return "\(names.count) nodes (\(shown.prefix(3).joined(separator: ", ")), …)"
  }
  return shown.dropLast().joined(separator: ", ") + " and " + (shown.last ?? "")
}

/// Returns a command for a line. A long range of nodes is cut; JSON has the whole command.
private func bounded(_ command: String) -> String {
  let text = printable(command.utf8)
  guard text.utf8.count > 1000 else { return text }
  return String(decoding: text.utf8.prefix(300), as: UTF8.self)
    + "… ('imgstore status --json' has all of it in bootFiles.command)"
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

  /// - Returns: nil if the boot files were not compared.
  init?(_ check: BootCheck?) {
    guard let check, let report = check.report else { return nil }
    copies = report.copies.map {
      Copy(role: $0.role.text, path: $0.path.text, source: $0.source.text, state: $0.state.rawValue)
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
