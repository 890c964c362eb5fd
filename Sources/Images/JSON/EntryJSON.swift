// The JSON forms of entries, notes and their comparison (docs/json.md).

import Platform
import Store

extension LocatedEntry: JSONDocument {
  public static let form = JSONForm<Self>("Entry", kind: "entry") { key in
    key("path") { printable($0.path) }
    key("kind", \.entry.kind.noun)
    key("mode") { String($0.entry.mode, radix: 8) }
    key("uid", \.entry.uid)
    key("gid", \.entry.gid)
    key("modified") { isoText($0.entry.modified) }
    key("sizeBytes") { $0.entry.kind == .file ? $0.entry.sizeBytes : nil }
    key("sha256") { $0.entry.mayHaveSparseID ? nil : $0.entry.blob?.hex }
    key("tree", \.entry.tree?.hex)
    key("target") { found -> String? in
      if case .symlink(let bytes) = found.entry.content { printable(bytes) } else { nil }
    }
    key("device") { found -> [UInt32]? in
      if case .device(_, let number) = found.entry.content {
        [number.major, number.minor]
      } else {
        nil
      }
    }
    key("xattrs", \.entry.xattrs?.hex)
    key("holes", \.entry.holes?.hex)
    key("flags") { $0.entry.flags.isEmpty ? nil : $0.entry.flags.letters }
    key("unreadable") { $0.entry.content.isMissing ? true : nil }
    key("hardLinked") { $0.entry.linkGroup != 0 }
  }
}

extension Snapshot.Component: JSONObject {
  public static let form = JSONForm<Self>("Snapshot.Piece") { key in
    key("role", \.role.text)
    key("entry") { LocatedEntry(address: ImagePath(component: $0.path), entry: $0.entry) }
  }
}

extension Snapshot.Note: JSONObject {
  public static let form = JSONForm<Self>("Note") { key in
    key("kind") { "\($0.kind)" }
    key("path") { printable($0.path) }
    key("detail", \.detail)
  }
}

extension PathChange: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("snapshot", \.committed.name)
    key("number", \.committed.number)
    key("id", \.committed.id.hex)
    key("created") { isoText($0.committed.snapshot.created) }
    key("message", \.committed.snapshot.message)
    key("path") { printable($0.path) }
    key("change") { $0.old == nil ? "added" : $0.new == nil ? "removed" : "changed" }
    key("fields", \.fields.names)
    key("old") { change in change.old.map { LocatedEntry(address: change.address, entry: $0) } }
    key("new") { change in change.new.map { LocatedEntry(address: change.address, entry: $0) } }
  }
}

extension AttributeChange: JSONObject {
  public static let form = JSONForm<Self>("Diff.Attribute") { key in
    key("table", \.table)
    key("column", \.column)
    key("old", \.old)
    key("new", \.new)
  }
}

/// A comparison, with that of packages and lists if it was requested.
public struct DiffJSON: JSONDocument {
  private let diff: ImageDiff
  private let packages: [PackageDiff]?
  private let lists: [TextDiff]

  public init(_ diff: ImageDiff, packages: [PackageDiff]? = nil, lists: [TextDiff] = []) {
    (self.diff, self.packages, self.lists) = (diff, packages, lists)
  }

  public static let form = JSONForm<Self>(kind: "diff") { key in
    key("old", \.diff.old)
    key("new", \.diff.new)
    key("identical", \.diff.isEmpty)
    key("attributes", \.diff.attributes)
    key("entries") { document in
      document.diff.entries.map { change in
        Change(
          change: change,
          owner: document.packages?.lazy.compactMap { $0.ownerships[change.path] }.first)
      }
    }
    key("packages", \.packages)
    key("lists") { $0.lists.isEmpty ? nil : $0.lists }
  }

  /// A changed entry, and the package that owns its path.
  struct Change: JSONObject {
    let change: TreeChange
    let owner: ChangedPathOwner?

    static let form = JSONForm<Self> { key in
      key("path") { printable($0.change.path) }
      key("change") { item -> String in
        switch item.change.kind {
        case .added: "added"
        case .removed: "removed"
        case .changed: "changed"
        }
      }
      key("fields") { item -> [String] in
        if case .changed(_, _, let fields) = item.change.kind { fields.names } else { [] }
      }
      key("old") { $0.located($0.change.sides.old) }
      key("new") { $0.located($0.change.sides.new) }
      key("belongs", \.owner)
    }

    private func located(_ entry: Entry?) -> LocatedEntry? {
      entry.map { LocatedEntry(address: change.address, entry: $0) }
    }
  }
}

extension ChangedPathOwner: JSONObject {
  public enum Kind: String, JSONEnumeration {
    case package
    case configuration
    case modified
    case unowned
  }

  public var kind: Kind {
    switch self {
    case .package: .package
    case .configuration: .configuration
    case .modified: .modified
    case .unowned: .unowned
    }
  }

  /// The name of the package.
  public var package: String? {
    switch self {
    case .package(let name), .configuration(let name), .modified(let name): name
    case .unowned: nil
    }
  }

  public static let form = JSONForm<Self>("PathOwnership") { key in
    key("kind", \.kind)
    key("package", \.package)
  }
}

extension PackageChange: JSONObject {
  public static let form = JSONForm<Self>("PackageDiff.Change") { key in
    key("name", \.name)
    key("architecture", \.architecture)
    key("old", \.old)
    key("new", \.new)
    key("oldState", \.oldState?.rawValue)
    key("newState", \.newState?.rawValue)
  }
}

extension PackageDiff: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("path") { printable($0.path) }
    key("oldDatabase", \.oldKind?.rawValue)
    key("newDatabase", \.newKind?.rawValue)
    key("unchanged", \.unchangedCount)
    key("changes", \.changes)
    key("remarks") { $0.remarks.isEmpty ? nil : $0.remarks }
  }
}

/// A unified diff of a text. Bytes that are not UTF-8 are replaced.
extension TextDiff: JSONDocument {
  public static let form = JSONForm<Self>(kind: "text-diff") { key in
    key("path") { printable($0.path) }
    key("role") { $0.role?.text }
    key("binary", \.isBinary)
    key("diff") { String(decoding: $0.lines, as: UTF8.self) }
  }
}
