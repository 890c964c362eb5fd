// Changed packages as lines: "M  bash  5.1-2 → 5.2-1".

import Images

/// Renders the difference of two package databases.
struct PackageDiffText {
  private let packages: PackageDiff

  init(_ packages: PackageDiff) { self.packages = packages }

  /// One line for each changed package.
  var changes: [String] {
    let rows = packages.changes.map { change -> [String] in
      let old = versionText(change.old, change.oldState)
      let new = versionText(change.new, change.newState)
      return switch (change.old, change.new) {
      case (nil, _): ["A", change.name, new]
      case (_, nil): ["D", change.name, old]
      default: ["M", change.name, "\(old) → \(new)"]
      }
    }
    return table(rows).split(separator: "\n").map(String.init)
  }

  /// The numbers of changed packages, in one line.
  var summary: String {
    let kinds = Set([packages.oldKind, packages.newKind].compactMap(\.self?.rawValue)).sorted()
    let added = packages.changes.filter { $0.old == nil }.count
    let removed = packages.changes.filter { $0.new == nil }.count
    let other = packages.changes.count - added - removed
    return "packages of \(printable(packages.path)) (\(kinds.joined(separator: ", "))): "
      + "\(other) in another version, \(added) added, \(removed) removed, "
      + "\(packages.unchangedCount) the same"
  }

  /// Returns a version, with the state of its installation if that is not complete.
  private func versionText(_ version: String?, _ state: Package.State?) -> String {
    (version ?? "") + (state.map { " (\($0.rawValue))" } ?? "")
  }
}
