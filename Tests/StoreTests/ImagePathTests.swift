// The addresses of files of an image.

import Platform
import Store
import Testing

@Suite struct ImagePathTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test(arguments: [
    ("/tree", "/tree", ""), ("/tree/etc/hosts", "/tree", "etc/hosts"), ("/etc", "/", "etc"),
  ])
  func `an address is joined and split without loss`(
    _ whole: String, _ component: String, _ path: String
  ) throws {
    let address = try #require(ImagePath(bytes(whole), in: bytes(component)))
    #expect(address.component == bytes(component) && address.path.bytes == bytes(path))
    #expect(address.bytes == bytes(whole))
  }

  @Test(arguments: ["/trees", "/tre", "/", "/other/tree", "tree"])
  func `a path outside a component has no address in it`(_ path: String) {
    #expect(ImagePath(bytes(path), in: bytes("/tree")) == nil)
  }

  @Test func `the name of a component is that of its path`() {
    let top = ImagePath(component: bytes("/a/tree"))
    #expect(top.name == bytes("tree"))
    #expect(top.appending(bytes("etc")).appending(bytes("hosts")).name == bytes("hosts"))
    #expect(top.appending(bytes("etc")).bytes == bytes("/a/tree/etc"))
  }
}
