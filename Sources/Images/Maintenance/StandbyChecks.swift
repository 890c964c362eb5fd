// The checks of `doctor` about standby trees: whether the setting can have an effect, and which trees are of
// no use.

import Platform
import Settings
import Store
import XCAT

/// Checks standby trees and their setting.
struct StandbyChecks: Collaborator {
  let context: Context

  /// Reports settings that have no effect, and trees that no revert would use.
  func standby(_ images: [ImageSummary]) throws -> [DoctorFinding] {
    try images.flatMap { summary -> [DoctorFinding] in
      let image = try ImageName(summary.name)
      let keeper = StandbyKeeper(context)
      var findings: [DoctorFinding] = []
      let trees = try keeper.trees(of: image)
      for item in trees where item.snapshot == nil {
        findings.append(
          DoctorFinding(
            "standby", isProblem: false, item.tree.ownPath.text,
            "is left from a standby tree, and belongs to no snapshot",
            hint: "'imgstore gc' removes it"))
      }
      if summary.isDefined, let setting = context.settings(of: image).standby,
        let path = try keeper.rootTree(of: image), let reason = try obstacle(at: path)
      {
        findings.append(
          DoctorFinding(
            "standby", isProblem: false,
            "the setting 'standby' of \(image) (\(setting.origin.text))",
            "has no effect: \(reason)", hint: "Reverts work without standby trees"))
      }
      return findings
    }
  }

  /// Returns why a tree cannot have standby trees; nil if it can, or if it does not exist.
  private func obstacle(at path: AbsolutePath) throws -> String? {
    do throws(SystemError) {
      let live = try LivePaths(context).locate(path)
      guard context.fileSystem.canClone(in: live.directory.raw) else {
        return "the file system of \(path.text) has no reflinks"
      }
      return nil
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }
}
