// Signatures on the command line: the exit codes and JSON documents for scripts.

import Foundation
import TestSupport
import Testing

@Suite struct SignatureCommandTests {
  private struct Report: Decodable {
    struct Signatures: Decodable {
      struct Snapshot: Decodable {
        struct Signature: Decodable {
          let verdict: String
          let signatureFile: String
        }
        let snapshot: String
        let signatures: [Signature]
      }
      let snapshots: [Snapshot]
      let unsigned: [String]
      let bad: Int
      let untrusted: Int
    }
    let signatures: Signatures
  }

  private func verify(
    _ site: TestNode, _ more: String...
  ) throws -> (status: Int32, signatures: Report.Signatures) {
    let result = try run(
      binary, arguments: ["verify", "--signatures", "--json"] + more,
      environment: site.environment)
    let report = try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    return (result.status, report.signatures)
  }

  @Test func `verify exits with 0, 3 and 1 for good, untrusted and bad signatures`() throws {
    let site = try TestNode(image: "img")
    #expect(try site.imgstore("key", "generate").status == 0)
    #expect(try site.imgstore("snapshot", "img", "--sign").status == 0)
    try shell("echo changed >\"$1/etc/motd\"", site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)

    let good = try verify(site)
    #expect(good.status == 0)
    #expect(good.signatures.snapshots.map(\.snapshot) == ["img@1", "img@2"])
    #expect(good.signatures.snapshots.map { $0.signatures.map(\.verdict) } == [["valid"], []])
    #expect(good.signatures.unsigned == ["img@2"])

    let nobody = site.directory.path("nobody")
    try FileManager.default.createDirectory(atPath: nobody, withIntermediateDirectories: false)
    let untrusted = try verify(site, "--trusted-keys", nobody)
    #expect(untrusted.status == 3)
    #expect(untrusted.signatures.untrusted == 1 && untrusted.signatures.bad == 0)

    // Signing later makes the second one good, too.
    #expect(try site.imgstore("sign", "img@2").status == 0)
    #expect(try verify(site).signatures.unsigned.isEmpty)

    let file = try #require(good.signatures.snapshots.first?.signatures.first?.signatureFile)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    bytes[7] ^= 1
    try bytes.write(to: URL(fileURLWithPath: file))
    let bad = try verify(site)
    #expect(bad.status == 1)
    #expect(bad.signatures.bad == 1 && bad.signatures.untrusted == 0)
  }
}
