// Requests for boot files: references, validators, moves of tags, and what does not exist.

import Codec
import HTTPServer
import Images
import Server
import TestSupport
import Testing

@Suite struct BootRouteTests {
  @Test func referencesNameOneSnapshotEach() throws {
    let site = try BootSite()
    let first = try site.snapshot(kernel: "one", tags: ["production"])
    try site.snapshot(kernel: "two")
    for reference in [
      "compute@1", "compute@production", "compute@\(first.id.hex.prefix(12))", "compute@~1",
    ] {
      #expect(try site.text("/boot/\(reference)/kernel") == "one", "\(reference)")
    }
    #expect(try site.text("/boot/compute/kernel") == "two")
    #expect(site.get("/boot/compute@live/kernel").status == .notFound)
    #expect(try site.text("/boot/compute@1/initrd") == "ramdisk\n")
  }

  @Test func entityTagIsTheChecksumAndNumbersAreImmutable() throws {
    let site = try BootSite()
    try site.snapshot(kernel: "one", tags: ["production"])
    let tag = site.get("/boot/compute@production/kernel")
    #expect(tag.entityTag == SHA256.digest(of: Array("one".utf8)).hex)
    #expect(field(tag, "Cache-Control") == "no-cache")
    // A tag may move back: a date would then keep the newer file.
    #expect(tag.lastModified == nil)
    let number = site.get("/boot/compute@1/kernel")
    #expect(field(number, "Cache-Control") == "max-age=31536000, immutable")
    #expect(number.lastModified != nil)
    // The node has no xCAT, so the packed image depends on the snapshot alone.
    #expect(
      field(site.get("/boot/compute@1/rootimg.cpio.gz"), "Cache-Control")
        == "max-age=31536000, immutable")
  }

  @Test func movedTagServesTheNewSnapshotAndKeepsWhatHasBegun() throws {
    let site = try BootSite()
    let first = try site.snapshot(kernel: "one", tags: ["production"])
    try site.snapshot(kernel: "two")
    let begun = site.get("/boot/compute@production/kernel")
    _ = try site.node.open().tag("compute@2", as: "production", moving: true)
    #expect(try bytes(begun) == Array("one".utf8))
    let new = site.get("/boot/compute@production/kernel")
    #expect(try bytes(new) == Array("two".utf8) && new.entityTag != begun.entityTag)
    #expect(try site.text("/boot/compute@production/ipxe").contains("../compute@2/kernel"))
    #expect(try site.text("/boot/\(first.id.hex)/kernel") == "one")
  }

  @Test func missingIs404AndForgottenIs410() throws {
    let site = try BootSite()
    for kernel in ["one", "two", "three"] { try site.snapshot(kernel: kernel) }
    _ = try site.node.open().remove(["compute@1"])
    #expect(site.get("/boot/compute@1/kernel").status == .gone)
    #expect(site.get("/boot/compute@1/").status == .gone)
    #expect(site.get("/boot/compute@9/kernel").status == .notFound)
    #expect(site.get("/boot/compute@nothing/kernel").status == .notFound)
    #expect(site.get("/boot/other/kernel").status == .notFound)
    #expect(site.get("/boot/compute@2/kernel/").status == .notFound)
    #expect(site.get("/boot/compute@2/x/y").status == .notFound)
    let missing = site.get("/boot/compute@2/initrd-statelite.gz")
    #expect(missing.status == .notFound)
    // The answer names the files that exist.
    #expect(String(decoding: try bytes(missing), as: UTF8.self).contains("initrd-stateless.gz"))
    #expect(site.get("/boot/compute@2:etc/kernel").status == .badRequest)
  }

  @Test func listsImagesAndFiles() throws {
    let site = try BootSite()
    try site.snapshot(kernel: "one", tags: ["production"])
    #expect(try site.text("/boot/") == "compute@1/\tlatest of 1\ncompute@production/\tcompute@1\n")
    #expect(site.get("/boot/compute@1").status == .permanentRedirect)
    #expect(field(site.get("/boot/compute@1"), "Location") == "compute@1/")
    let files = try site.text("/boot/compute@1/").split(separator: "\n").map {
      $0.prefix { $0 != "\t" }
    }
    #expect(
      files == [
        "bundle.tgz", "initrd", "initrd-stateless.gz", "kernel", "manifest.xml", "rootimg.cpio.gz",
        "rootimg.cpio.xz", "rootimg.cpio.zst", "rootimg.sfs", "rootimg.tar.gz", "rootimg.tar.xz",
        "rootimg.tar.zst", "ipxe", "SHA256SUMS",
      ])
    let page = site.get("/boot/compute@1/", headers: [("accept", "text/html,*/*")])
    #expect(page.contentType == "text/html; charset=utf-8")
    #expect(String(decoding: try bytes(page), as: UTF8.self).contains("<a href=\"./kernel\">"))
  }

  @Test func checksumsCoverWhatIsKnown() throws {
    let site = try BootSite()
    try site.snapshot(kernel: "one")
    let before = try site.text("/boot/compute@1/SHA256SUMS")
    #expect(before.contains("\(SHA256.digest(of: Array("one".utf8)).hex)  kernel\n"))
    #expect(!before.contains("rootimg.tar.gz"))
    let image = try site.body("/boot/compute@1/rootimg.tar.gz")
    site.waitForRenderings()
    #expect(
      try site.text("/boot/compute@1/SHA256SUMS")
        .contains("\(SHA256.digest(of: image).hex)  rootimg.tar.gz\n"))
  }

  @Test(arguments: [
    ("mn", true), ("mn.cluster:7070", true), ("10.0.0.1:80", true), ("[fd00::1]:7070", true),
    ("mn\u{20}boot", false), ("mn/x", false), ("${x}", false), ("mn:99999", false), ("", false),
    ("[::1", false), ("mn:7070:1", false),
  ])
  func scriptTrustsOnlyAPlainHost(_ host: String, _ isAccepted: Bool) throws {
    let site = try BootSite(usesTLS: true)
    try site.snapshot(kernel: "one")
    let response = site.get("/boot/compute@1/ipxe", headers: [("host", host)])
    #expect(response.status == (isAccepted ? .ok : .badRequest))
    if isAccepted {
      #expect(
        String(decoding: try bytes(response), as: UTF8.self)
          .contains("imgurl=https://\(host)/boot/compute@1/rootimg.cpio.gz "))
    }
  }
}
