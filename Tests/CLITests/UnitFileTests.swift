// The units of systemd in packaging/systemd, checked by systemd itself.

import Foundation
import TestSupport
import Testing

@Suite(.usesTools) struct UnitFileTests {
  private static let hasSystemd =
    !TestSelection.isFast && (try? run("which", "systemd-analyze"))?.didSucceed == true
  private let directory: TemporaryDirectory

  /// Copies the units. Their program is one that exists, which systemd checks.
  init() throws {
    directory = try TemporaryDirectory()
    try shell(
      "for f in \"$1\"/*.service \"$1\"/*.timer \"$1\"/*.socket; do sed 's|^ExecStart=/usr/bin/imgstore|ExecStart=/bin/true|' \"$f\" >\"$2/${f##*/}\"; done",
      packageRoot + "/packaging/systemd", directory.path)
  }

  @Test(.enabled(if: hasSystemd, "systemd-analyze is not installed: 'apt-get install systemd'"))
  func `the units have no errors, and the services are confined`() throws {
    let names = [
      "imgstore-maintain.service", "imgstore-serve.service", "imgstore-maintain.timer",
      "imgstore-serve.socket",
    ].map { directory.path($0) }
    // The manual page is not installed here.
    let verified = try run("systemd-analyze", arguments: ["verify", "--man=no"] + names)
    #expect(verified.status == 0 && verified.errors.isEmpty, "\(verified.errors)")
    // Tenths: an exposure of at most 3.0.
    for service in names.prefix(2) {
      let confined = try run(
        "systemd-analyze", "security", "--offline=true", "--threshold=30", service)
      #expect(confined.status == 0, "\(confined.output)")
    }
  }
}
