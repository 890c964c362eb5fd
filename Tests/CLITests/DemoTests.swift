// `make demo` on hosts of different kinds, as root and as another user, without a network
// (Tests/Demo/hosts.py).

import Foundation
import TestSupport
import Testing

@Suite struct DemoTests {
  private static let program =
    URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().path + "/Demo/hosts.py"

  @Test(arguments: ["small", "large"]) func `the demo runs on any host`(_ host: String) throws {
    let result = try run("python3", arguments: [Self.program, binary, host])
    // Without namespaces there is no other host.
    if result.status == 77 { return }
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }
}
