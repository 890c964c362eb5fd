// Lists the snapshots of a store, and prints what changed between two of them:
//
//     ListSnapshots STORE                 lists all snapshots
//     ListSnapshots STORE OLD NEW         compares two: compute@1 compute@2
//
// It uses the public API of the module Images only, and changes nothing.

import Foundation
import Images

@main
struct ListSnapshots {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 1 || arguments.count == 3 else {
      warn("usage: ListSnapshots STORE [OLD NEW]")
      exit(2)
    }
    let workspace = try Workspace(WorkspaceOptions(store: arguments[0])) { warn("warning: \($0)") }
    if arguments.count == 1 {
      try list(workspace)
    } else {
      try compare(arguments[1], arguments[2], in: workspace)
    }
  }

  static func list(_ workspace: Workspace) throws {
    for image in try workspace.images() where image.snapshots > 0 {
      for entry in try workspace.log(image.name) {
        let tags = entry.tags.map { "  [\($0)]" }.joined()
        print("\(entry.committed.name)  \(entry.committed.snapshot.message)\(tags)")
      }
    }
  }

  static func compare(_ old: String, _ new: String, in workspace: Workspace) throws {
    let diff = try workspace.diff(old, new)
    for attribute in diff.attributes {
      print("\(attribute.column): \(attribute.old ?? "-") -> \(attribute.new ?? "-")")
    }
    for change in diff.entries {
      let label =
        switch change.kind {
        case .added: "added  "
        case .removed: "removed"
        case .changed: "changed"
        }
      // Paths are bytes, and need not be UTF-8.
      print("\(label) \(String(decoding: change.path, as: UTF8.self))")
    }
  }

  static func warn(_ line: String) {
    FileHandle.standardError.write(Data("\(line)\n".utf8))
  }
}
