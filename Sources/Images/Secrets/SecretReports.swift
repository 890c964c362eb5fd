// Reports the secrets of an image, for `imgstore secrets` and `copy`.

import Platform
import Store

extension Workspace {
  /// Scans all components of the live image, or of a snapshot, for secrets.
  public func secrets(_ reference: String) throws -> SecretReport {
    try SecretReporter(context).secrets(reference)
  }
}

/// Reports the secrets of snapshots and live images.
struct SecretReporter: Collaborator {
  let context: Context

  func secrets(_ reference: String) throws -> SecretReport {
    let snapshot = try BundleExporter(context).snapshotOrLive(
      Reference(reference), label: SnapshotLabel(.secrets, "for secrets"))
    var report = try secretReport(of: snapshot.snapshot)
    report.snapshot = snapshot.name
    return report
  }

  /// Returns the secrets in a snapshot's trees, files and rows.
  func secretReport(of snapshot: Snapshot) throws -> SecretReport {
    let scan = SecretScan(try context.store(), progress: context.progress)
    defer { scan.finish() }
    scan.rootTree = snapshot.components.rootTree?.entry
    var report = SecretReport()
    report.isOfDirectory = snapshot.definition.isDirectory
    for table in snapshot.tables {
      for row in table.rows {
        report.findings += DefinitionSecrets.scan(row, table: table.name).findings
      }
    }
    for component in snapshot.components where !component.role.isLinkTarget {
      guard let path = AbsolutePath(component.path),
        let entry = snapshot.components.followed(component)?.entry
      else { continue }
      switch entry.kind {
      case .file:
        report.add(
          try scan.file(path, role: component.role, entry), path.bytes, role: component.role)
      case .directory where component.role == .rootTree:
        report.add(try scan.tree(entry), .tree, in: path.bytes)
      case .directory: report.add(try scan.directory(entry, at: path), .file, in: path.bytes)
      default: break
      }
    }
    report.sort()
    return report
  }
}
