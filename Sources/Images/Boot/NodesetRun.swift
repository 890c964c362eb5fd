// `--nodeset`: after a change of an image, xCAT copies its boot files to where nodes load them.
//
// 1. Nothing is run below a staging root: nodeset reaches the real tables and the real TFTP folder, whatever
//    the root is. That, and a machine without xCAT, is found before anything is changed.
// 2. Whether it did its work is told by another comparison, not by its exit status alone.

import Platform
import XCAT

/// What came of running nodeset.
public struct NodesetOutcome: Sendable {
  public let command: NodesetCommand
  /// Why it failed; nil where it did not.
  public let failure: String?
  /// The comparison afterwards.
  public let after: BootFilesReport?
  public var isDone: Bool { failure == nil && after?.stale.isEmpty != false }
}

extension Workspace {
  /// - Throws: `ImageError` below a staging root, `XCATError` where xCAT is not there.
  public func requireNodeset() throws {
    guard rootPath == [0x2f] else {
      throw ImageError(
        .usage, "--nodeset", "cannot be used with a root: nodeset knows the real tables only",
        advice: "Leave --nodeset out. Nothing was changed")
    }
    try NodesetRunner(fileSystem, environment: options.environment).requirePresent()
  }

  /// Runs nodeset for the nodes that a report names.
  /// - Returns: nil where it names none.
  public func runNodeset(_ report: BootFilesReport) throws -> NodesetOutcome? {
    try requireNodeset()
    guard let command = report.command else { return nil }
    let runner = NodesetRunner(fileSystem, environment: options.environment)
    progress.begin("running nodeset")
    var failure: String?
    do {
      for part in try command.parts() { try runner.run(part) }
    } catch let error as any ExplainedError {
      failure = error.statement
    }
    return NodesetOutcome(
      command: command, failure: failure, after: try bootFiles(of: report.image))
  }
}
