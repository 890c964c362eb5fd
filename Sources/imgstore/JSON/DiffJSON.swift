// The JSON forms of a diff (docs/json.md).

import Images
import Platform
import Store

struct DiffJSON: JSONDocument {
  static let kind = "diff"
  struct Attribute: Codable {
    let table: String
    let column: String
    let old: String?
    let new: String?
  }
  struct Change: Codable {
    let path: String
    let change: String
    let fields: [String]
    let old: EntryJSON?
    let new: EntryJSON?
    let belongs: PathOwnershipJSON?
  }
  let old: String
  let new: String
  let identical: Bool
  let attributes: [Attribute]
  let entries: [Change]
  let packages: [PackageDiffJSON]?
  let lists: [TextDiffJSON]?

  init(_ diff: ImageDiff, packages: [PackageDiff]? = nil, lists: [TextDiff] = []) {
    old = diff.old
    new = diff.new
    identical = diff.isEmpty
    attributes = diff.attributes.map {
      Attribute(table: $0.table, column: $0.column, old: $0.old, new: $0.new)
    }
    self.packages = packages?.map(PackageDiffJSON.init)
    self.lists = lists.isEmpty ? nil : lists.map(TextDiffJSON.init)
    entries = diff.entries.map { change in
      let belongs = packages?.lazy.compactMap { $0.ownerships[change.path] }.first
        .map(PathOwnershipJSON.init)
      let (old, new) = change.sides
      let form: (kind: String, fields: [String]) =
        switch change.kind {
        case .added: ("added", [])
        case .removed: ("removed", [])
        case .changed(_, _, let fields): ("changed", fields.names)
        }
      return Change(
        path: printable(change.path), change: form.kind, fields: form.fields,
        old: old.map { EntryJSON(change.path, $0) }, new: new.map { EntryJSON(change.path, $0) },
        belongs: belongs)
    }
  }
}

/// The package that owns a changed path, and how the change relates to it.
struct PathOwnershipJSON: Codable {
  enum Kind: String, JSONEnumeration {
    case package
    case configuration
    case modified
    case unowned

    /// The words for the number of paths of this kind.
    var phrase: String {
      switch self {
      case .package: "of packages that changed"
      case .configuration: "changed configuration files"
      case .modified: "changed in unchanged packages"
      case .unowned: "of no package"
      }
    }

    /// Whether paths of this kind are listed without --paths, because they deserve attention.
    var isSurprising: Bool { self == .configuration || self == .modified }
  }
  let kind: Kind
  let package: String?

  init(_ ownership: ChangedPathOwner) {
    switch ownership {
    case .package(let name): (kind, package) = (.package, name)
    case .configuration(let name): (kind, package) = (.configuration, name)
    case .modified(let name): (kind, package) = (.modified, name)
    case .unowned: (kind, package) = (.unowned, nil)
    }
  }
}

struct PackageDiffJSON: Codable {
  struct Change: Codable {
    let name: String
    let architecture: String
    let old: String?
    let new: String?
    let oldState: String?
    let newState: String?
  }
  let path: String
  let oldDatabase: String?
  let newDatabase: String?
  let unchanged: Int
  let changes: [Change]
  let remarks: [String]?

  init(_ diff: PackageDiff) {
    path = printable(diff.path)
    oldDatabase = diff.oldKind?.rawValue
    newDatabase = diff.newKind?.rawValue
    unchanged = diff.unchangedCount
    changes = diff.changes.map {
      Change(
        name: $0.name, architecture: $0.architecture, old: $0.old, new: $0.new,
        oldState: $0.oldState?.rawValue, newState: $0.newState?.rawValue)
    }
    remarks = diff.remarks.isEmpty ? nil : diff.remarks
  }
}

/// A unified diff of a text. Bytes that are not UTF-8 are replaced.
struct TextDiffJSON: JSONDocument {
  static let kind = "text-diff"
  let path: String
  let role: String?
  let binary: Bool
  let diff: String

  init(_ text: TextDiff) {
    path = printable(text.path)
    role = text.role?.text
    binary = text.isBinary
    diff = String(decoding: text.lines, as: UTF8.self)
  }
}
