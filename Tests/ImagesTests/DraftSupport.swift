// Draft bundles (Tests/HostileBundles) on test nodes.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport

/// Returns the error of a command as users see it; nil if it succeeded.
func refusal(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch let error as any ExplainedError {
    return error.messageWithHint
  } catch {
    return "\(error)"
  }
}

extension TestNode {
  static let boot = ManifestDraft.boot
  static let custom = ManifestDraft.custom

  /// Writes a bundle into the node's own directory, next to its root.
  func write(_ bytes: [UInt8], as name: String = "draft.tgz") throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: directory.path(name)))
    return directory.path(name)
  }

  @discardableResult
  func importing(
    _ draft: BundleDraft, _ change: (inout ImportRequest) -> Void = { _ in }
  ) throws -> ImportedImage {
    try workspace.importing(try write(draft.bundle()), change)
  }

  /// Exports to a new file.
  func exporting(
    _ image: String, _ change: (inout ExportRequest) -> Void = { _ in }
  ) throws -> (bundle: String, outcome: ExportOutcome) {
    let bundle = directory.path("export-\(randomName()).tgz")
    return (bundle, try workspace.exporting(image, to: bundle, change))
  }

  /// Writes a file, and creates the directories above it.
  func put(_ path: String, _ text: String, mode: String = "644") throws {
    try shell(
      "mkdir -p \"$(dirname \"$1\")\"; printf %s \"$2\" >\"$1\"; chmod \"$3\" \"$1\"",
      self.path(path), text, mode)
  }
}

extension BundleDraft {
  /// Adds a file, or replaces it.
  mutating func put(_ name: String, _ text: String) {
    files.removeAll { $0.name == name }
    files.append((name, Array(text.utf8)))
  }
}
