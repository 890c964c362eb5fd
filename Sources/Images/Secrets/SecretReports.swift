// imgstore secrets, and the reports of `copy`: which secrets an image carries.

import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// Looks for secrets in an image as it is now, or in a snapshot: in everything that belongs to it.
  public func secrets(
    _ reference: String
  ) throws -> (snapshot: CommittedSnapshot, report: SecretReport) {
    let snapshot = try snapshotOrLive(
      Reference(reference), message: "for a look at secrets", command: "secrets")
    return (snapshot, try secretReport(of: snapshot.snapshot))
  }

  /// Returns the secrets of a snapshot's trees, files and rows.
  func secretReport(of snapshot: Snapshot) throws -> SecretReport {
    let scan = SecretScan(try store(), progress: progress)
    defer { scan.finish() }
    scan.rootTree = snapshot.pieces.rootTree?.entry
    var report = SecretReport()
    report.isOfDirectory = snapshot.definition.isDirectory
    for table in snapshot.tables {
      for row in table.rows {
        report.findings += DefinitionSecrets.scan(row, table: table.name).findings
      }
    }
    for component in snapshot.pieces where !CaptureRoot.isTargetRole(component.role) {
      guard let path = AbsolutePath(component.path),
        let entry = snapshot.pieces.followed(component)?.entry
      else { continue }
      switch entry.kind {
      case .file:
        report.add(
          try scan.file(path, role: component.role, entry), path.bytes, role: component.role)
      case .directory where component.role == ImageFiles.rootTree:
        report.add(try scan.tree(entry), .tree, in: path.bytes)
      case .directory: report.add(try scan.folder(entry, at: path), .file, in: path.bytes)
      default: break
      }
    }
    report.sort()
    return report
  }
}
