// The checks of `doctor` about images: present, snapshotted, and without unfinished changes.

import Platform
import Settings
import Store
import XCAT

/// Checks the images.
struct ImageChecks: Collaborator {
  let context: Context

  func images(_ images: [ImageSummary]) throws -> [DoctorFinding] {
    try images.flatMap { image -> [DoctorFinding] in
      var findings: [DoctorFinding] = []
      if let change = image.unfinished, !change.isRunning {
        findings.append(
          DoctorFinding(
            "images", "image \(image.name)", "has an unfinished change: \(change.summary)",
            hint: change.hint))
      }
      guard image.isDefined else { return findings }
      if image.snapshots == 0 {
        findings.append(
          DoctorFinding(
            "images", "image \(image.name)", "has no snapshot",
            hint: "Take one with 'imgstore snapshot \(image.name)'"))
      } else if image.latest?.snapshot.isComplete == false {
        findings.append(
          DoctorFinding(
            "images", "snapshot \(image.latest?.name ?? image.name)", "is incomplete",
            hint: "'imgstore show \(image.name)' lists what it lacks"))
      }
      return findings + (try trees(image))
    }
  }

  /// Checks that the trees of the latest snapshot are there.
  private func trees(_ image: ImageSummary) throws -> [DoctorFinding] {
    let components = image.latest?.snapshot.components ?? []
    return try components.compactMap { component in
      guard case .directory = component.entry.content,
        let path = AbsolutePath(component.path)
      else { return nil }
      let hint =
        "Check that its file system is mounted; 'imgstore revert \(image.name)' restores it"
      guard try ImageCapturer(context).statLive(path)?.kind == .directory else {
        return DoctorFinding(
          "images", path.text, "does not exist, but belongs to \(image.name)", hint: hint)
      }
      let location = try context.resolver.resolve(path)
      let directory = try context.fileSystem.openDirectory(
        at: location.directory.raw, location.name)
      guard try context.fileSystem.names(of: directory.raw).isEmpty,
        component.entry.tree.map({ $0 != ImageChecks.emptyTree }) ?? false
      else { return nil }
      return DoctorFinding(
        "images", path.text, "is empty, but was not in \(image.latest?.name ?? "")", hint: hint)
    }
  }

  private static let emptyTree = Tree.encode([]) { _ in }.tree

  /// Reports the sections of the configuration that apply to no image.
  func patterns(_ images: [ImageSummary]) -> [DoctorFinding] {
    context.options.configuration.images.filter { section in
      !images.contains { section.matches($0.name) }
    }.map { section in
      DoctorFinding(
        "config-patterns", isProblem: false,
        "the section image.\"\(printable(section.pattern.utf8))\"",
        "applies to no image (\(section.origin.text))",
        hint: Spelling.near(section.pattern, images.map(\.name)).first.map {
          "Did you mean '\($0)'?"
        }
          ?? "'imgstore images' lists the images")
    }
  }
}
