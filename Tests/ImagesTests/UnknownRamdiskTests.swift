// A ramdisk in a form that is not known: the reason does not name a form that nobody expects there.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct UnknownRamdiskTests {
  @Test(arguments: [
    "echo text | gzip -n", "echo plain", "printf '\\004\\042\\115\\030rest' | gzip -n",
  ])
  func `an unknown ramdisk is unexamined, and not missed as a tar archive`(_ make: String) throws {
    let node = try TestNode.toPack("\(make) > img/initrd-stateless.gz; echo k > img/kernel")
    let report = try node.workspace.secrets("img")
    #expect(report.unexamined.map { printable($0.path) } == ["/img/initrd-stateless.gz"])
    #expect(
      report.unexamined.allSatisfy { !$0.reason.contains("not a tar") }, "\(report.unexamined)")
  }
}
