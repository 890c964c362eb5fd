// A directory image and its bundle.

import Apply
import Images
import TestSupport

extension TestNode {
  /// Creates a node without xCAT, with a small tree in srv/compute.
  static func smallDirectory() throws -> TestNode {
    try TestNode.directory(tree: [
      "etc/hosts": "one\n", "usr/lib/a": "a\n", "var/log/messages": "m\n",
    ])
  }

  /// Writes a bundle of the tree as it is now.
  func bundle(_ name: String) throws -> String {
    var export = ExportRequest(try workspace.snapshot(tree).committed.name)
    let path = directory.path(name)
    export.destination = .file(path)
    _ = try workspace.export(export)
    return path
  }

  func revert(_ reference: String, _ method: ApplyStrategy = .automatic) throws -> RevertOutcome {
    var request = RevertRequest(reference)
    request.method = method
    return try workspace.revert(request)
  }
}
