// Errors of an import name the bundle.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct BundleErrorTests {
  @Test func `each import error names the bundle`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace(WorkspaceOptions(store: directory.path("store"))) { _ in }
    try shell(
      "mkdir -p \"$1/etc\"; head -c 100000 /dev/urandom >\"$1/etc/x\"", directory.path("tree"))
    _ = try workspace.snapshot(directory.path("tree"))
    _ = try workspace.exporting("tree", to: directory.path("whole.tgz"))
    try shell(
      """
      cd "$1"; head -c 60000 whole.tgz >cut.tgz; echo nonsense >text.tgz; : >empty.tgz
      mkdir x; echo a >x/a; tar czf other.tgz x
      """, directory.path(""))
    for name in ["cut.tgz", "text.tgz", "empty.tgz", "other.tgz", "tree"] {
      let path = directory.path(name)
      do {
        _ = try workspace.importing(path) { $0.directory = directory.path("new") }
        Issue.record("\(name) was imported")
      } catch let error as any ExplainedError {
        #expect(error.message.contains(path), "\(error.message)")
      }
    }
    #expect(!FileManager.default.fileExists(atPath: directory.path("new")))
  }

  @Test func `messages about a scrubbed directory do not mention xCAT`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace(WorkspaceOptions(store: directory.path("store"))) { _ in }
    try shell(
      """
      mkdir -p "$1/etc/ssh" "$1/root/.ssh"; cd "$1"
      ssh-keygen -q -t ed25519 -N '' -f etc/ssh/ssh_host_ed25519_key
      """, directory.path("tree"))
    _ = try workspace.snapshot(directory.path("tree"))
    let outcome = try workspace.exporting("tree", to: directory.path("s.tgz")) { $0.scrubs = true }
    #expect(!outcome.secrets.findings.isEmpty && !outcome.secrets.deliveries.isEmpty)
    #expect(outcome.secrets.deliveries.allSatisfy { !$0.contains("xCAT") })
    for kind in SecretKind.allCases where kind != .xcatCredentials {
      let text = kind.delivery(isOfDirectory: true) ?? ""
      for word in ["xCAT", "packimage", "synclist", "postscript"] {
        #expect(!text.contains(word), "\(kind): \(text)")
      }
      #expect((kind.delivery(isOfDirectory: false) == nil) == text.isEmpty, "\(kind)")
    }
  }
}
