// imgstore which and nodes: the snapshots that packed images and nodes come from.

import Platform
import Store

extension Workspace {
  /// Returns the snapshots that a packed image with this UUID was made from.
  /// - Throws: errors of the store.
  public func which(_ uuid: ImageUUID) throws -> BuildSearch {
    var search = BuildSearch(subject: uuid.description)
    search.uuid = uuid
    search.matches = try BuildFinder(context).matches(uuid)
    return search
  }

  /// Returns the snapshots that a packed image was made from, or that have the file.
  /// - Throws: `SystemError` if the file cannot be read.
  public func which(file path: String) throws -> BuildSearch {
    try BuildFinder(context).search(file: Array(path.utf8))
  }

  /// Returns whether a path names something that exists, relative to the working directory.
  public func isFile(_ path: String) -> Bool {
    let files = context.fileSystem
    return (try? files.statIfPresent(at: files.workingDirectory, Array(path.utf8))) ?? nil != nil
  }

  /// Asks a node which packed image it runs.
  /// - Parameter timeoutSeconds: the time that the node has to answer.
  /// - Throws: `XCATError` (`xcatCommandFailed`) if xdsh is not installed.
  public func which(node: String, timeoutSeconds: Int = 10) throws -> NodesReport {
    try NodeReporter(context).search(node: node, timeoutSeconds: timeoutSeconds)
  }

  /// Asks the nodes of an image which snapshots they run.
  /// - Parameter timeoutSeconds: the time that each node has to answer.
  /// - Throws: `ImageError` (`imageNotFound`); `XCATError` (`xcatCommandFailed`) if xdsh is not installed.
  public func runningNodes(_ image: String, timeoutSeconds: Int = 10) throws -> NodesReport {
    try NodeReporter(context).report(image, timeoutSeconds: timeoutSeconds)
  }

  /// Returns what the nodes of an image ran when `runningNodes` last asked them; nil if unknown.
  public func lastRunningNodes(of image: String) throws -> RunningNodes? {
    RunningSnapshots(context).load(try ImageName(image))
  }
}
