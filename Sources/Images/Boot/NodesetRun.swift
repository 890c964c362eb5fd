// Runs nodeset for `--nodeset`: after a change of an image, xCAT copies its boot files for the nodes.
//
// 1. Nothing runs below a staging root, because nodeset always changes the real tables and TFTP directory. A
//    staging root, or a machine without xCAT, is detected before anything is changed.
// 2. Success requires a second comparison of the files, not only nodeset's exit status.

import Platform
import XCAT

/// The result of running nodeset.
public struct NodesetOutcome: Sendable {
  public let command: NodesetArguments
  /// The reason for a failure; nil on success.
  public let failure: String?
  /// The comparison after the run.
  public let after: BootFilesReport?
  public var isDone: Bool { failure == nil && after?.stale.isEmpty != false }
}

extension Workspace {
  /// Checks that nodeset can run.
  /// - Throws: `ImageError` below a staging root; `XCATError` if xCAT is not installed.
  public func requireNodeset() throws {
    try NodesetRun(context).requireNodeset()
  }

  /// Runs nodeset for the nodes in a report.
  /// - Returns: nil if the report has no command.
  public func runNodeset(_ report: BootFilesReport) throws -> NodesetOutcome? {
    try NodesetRun(context).runNodeset(report)
  }
}

/// Runs xCAT's nodeset.
struct NodesetRun: Collaborator {
  let context: Context

  func requireNodeset() throws {
    guard context.rootPath == [0x2f] else {
      throw ImageError(
        .usage, "--nodeset", "cannot be used with a root: nodeset only knows the real tables",
        hint: "Nothing was changed. Run the command without --nodeset")
    }
    try NodesetRunner(context.fileSystem, environment: context.options.environment).requirePresent()
  }

  func runNodeset(_ report: BootFilesReport) throws -> NodesetOutcome? {
    try requireNodeset()
    guard let command = report.command else { return nil }
    let runner = NodesetRunner(context.fileSystem, environment: context.options.environment)
    context.progress.begin("running nodeset")
    var failure: String?
    do {
      for part in try command.parts() { try runner.run(part) }
    } catch let error as any ExplainedError {
      failure = error.message
    }
    return NodesetOutcome(
      command: command, failure: failure,
      after: try BootComparison(context).bootFiles(of: report.image))
  }
}
