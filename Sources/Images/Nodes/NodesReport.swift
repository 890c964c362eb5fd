// Which snapshot each node of an image runs. The nodes are asked for the UUID of their packed image by xdsh; those
// that boot the image according to xCAT's tables, or those that the caller names.
//
// 1. A node that does not answer, or answers without a UUID, is reported with the reason. It is never counted.
// 2. The last report of an image is kept in the store's cache, for `log`. It may be deleted at any time.

import Codec
import Platform
import Store
import XCAT

/// Nodes that run the same packed image.
public struct NodeGroup: Sendable {
  public let uuid: ImageUUID
  /// The name of the image in the packed image; nil if it does not tell.
  public let imageName: String?
  /// The snapshots that the packed image was made from; empty if none is known.
  public let matches: [BuildMatch]
  /// The nodes, sorted.
  public let nodes: [String]
  /// The nodes as a node range.
  public let range: String
}

/// A node without a known packed image.
public struct SilentNode: Sendable {
  public let name: String
  /// The reason, as a line of xdsh or a clause.
  public let reason: String
}

/// What the nodes of an image run.
public struct NodesReport: Sendable {
  public let image: String
  public let asked: Timestamp
  /// Sorted by the number of nodes, largest first.
  public let groups: [NodeGroup]
  public let silent: [SilentNode]
  /// The nodes whose image is unknown, because only xCAT can compute their table entries.
  public let unclear: [String]
}

/// Asks nodes what they run.
struct NodeReporter: Collaborator {
  let context: Context

  /// Asks the nodes of an image.
  /// - Throws: `ImageError` (`imageNotFound`) if xCAT does not define the image; `XCATError`
  ///   (`xcatCommandFailed`) if xdsh is not installed.
  func report(_ name: String, timeoutSeconds: Int) throws -> NodesReport {
    let image = try ImageResolver(context).image(named: name)
    let tables = try context.tables()
    guard let definition = try tables.definition(of: image.text), !definition.isDirectory else {
      throw ImageError(
        .imageNotFound, "image \(image)", "is not defined in xCAT's tables",
        hint: "Only nodes that xCAT manages can be asked: 'imgstore which NODE'")
    }
    let found = try BootNodes(of: image.text, tables)
    let report = try ask(
      found.nodes.map(\.name), image.text, unclear: found.unclear, timeoutSeconds: timeoutSeconds
    ) { found.range(of: $0) }
    RunningSnapshots(context).save(report, image)
    return report
  }

  /// Asks one node.
  func search(node: String, timeoutSeconds: Int) throws -> NodesReport {
    guard NodesetArguments.isPlain(node) else {
      throw ImageError(
        .usage, "'\(printable(node.utf8))'", "is neither a UUID, nor a file, nor the name of a node"
      )
    }
    return try ask([node], "", unclear: [], timeoutSeconds: timeoutSeconds) {
      $0.joined(separator: ",")
    }
  }

  private func ask(
    _ nodes: [String], _ image: String, unclear: [String], timeoutSeconds: Int,
    range: ([String]) -> String
  ) throws -> NodesReport {
    let asked = context.now()
    guard !nodes.isEmpty else {
      return NodesReport(image: image, asked: asked, groups: [], silent: [], unclear: unclear)
    }
    context.progress.begin("asking \(nodes.count) nodes")
    let shell = NodeShell(
      context.fileSystem, environment: context.options.environment, timeoutSeconds: timeoutSeconds)
    let answers = try shell.read("/" + ImageInfo.path.text, on: nodes)
    var members: [ImageUUID: (name: String?, nodes: [String])] = [:]
    var silent: [SilentNode] = []
    for node in nodes.sorted(by: { precedes(Array($0.utf8), Array($1.utf8)) }) {
      guard let file = answers.files[node], let info = ImageInfo(file) else {
        let reason = answers.files[node].map { _ in "/\(ImageInfo.path.text) has no UUID" }
        silent.append(
          SilentNode(name: node, reason: reason ?? answers.failures[node] ?? "did not answer"))
        continue
      }
      members[info.uuid, default: (info.imageName, [])].nodes.append(node)
    }
    let finder = BuildFinder(context)
    let groups = try members.map { uuid, group in
      NodeGroup(
        uuid: uuid, imageName: group.name, matches: try finder.matches(uuid), nodes: group.nodes,
        range: range(group.nodes))
    }
    return NodesReport(
      image: image, asked: asked,
      groups: groups.sorted {
        ($1.nodes.count, $0.uuid.description) < ($0.nodes.count, $1.uuid.description)
      }, silent: silent, unclear: unclear)
  }
}
