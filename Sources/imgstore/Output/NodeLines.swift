// The nodes that boot an image, as a line of `status` and `show`, and in errors about images without a
// snapshot.

import Images

/// The result of a search for the nodes of an image.
struct NodeCheck {
  /// The nodes; nil if xCAT does not define the image, or if they cannot be determined.
  let nodes: ImageNodes?
  /// The reason why the nodes cannot be determined.
  let problem: String?

  private static let maxBytes = 150

  init(_ workspace: Workspace, _ image: String) {
    do {
      nodes = try workspace.nodes(of: image)
      problem = nil
    } catch {
      nodes = nil
      problem =
        "cannot determine which nodes boot \(image): "
        + ((error as? any ExplainedError)?.message ?? "\(error)")
    }
  }

  /// "2002 nodes boot this image: n1-n2000,login1,login2"; nil if no node boots it.
  var line: String? {
    guard let nodes, !nodes.names.isEmpty else { return nil }
    return "\(count(nodes.names.count, "node")) \(nodes.names.count == 1 ? "boots" : "boot") "
      + "this image: \(NodeCheck.bounded(nodes.range))"
  }

  /// Returns a node range for a line. A long one is cut behind a comma; JSON has all nodes.
  private static func bounded(_ range: String) -> String {
    guard range.utf8.count > maxBytes else { return printable(range.utf8) }
    let start = range.utf8.prefix(maxBytes)
    let end = start.lastIndex(of: UInt8(ascii: ",")).map { range.utf8[..<$0] } ?? start
    return printable(end) + ",… ('imgstore status --json' lists all)"
  }
}

/// An error about an image that has no snapshot, with the nodes that boot the image.
struct UnsnapshottedImage: ExplainedError {
  let cause: any ExplainedError
  let nodes: [String]
  var subject: String { cause.subject }
  var reason: String { cause.reason }
  var hint: String { cause.hint }
  var form: ReasonForm { cause.form }
  var errorCode: ErrorCode { cause.errorCode }
  var message: String { cause.message }
}

/// Runs `body`, which needs a snapshot of an image. If there is none, the nodes that boot the image are still
/// printed, or become part of the JSON document of the failure.
func reportingNodes<R>(
  of image: String, _ workspace: Workspace, _ json: JSONFlag, _ body: () throws -> R
) throws -> R {
  do {
    return try body()
  } catch let error as any ExplainedError where error.errorCode.category == .notFound {
    let check = NodeCheck(workspace, image)
    guard let nodes = check.nodes else { throw error }
    if !json.json, let line = check.line { print(line) }
    throw UnsnapshottedImage(cause: error, nodes: nodes.names)
  }
}
