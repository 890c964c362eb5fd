// The documents of OCI images: which are accepted, and what is read from them.

import Codec
import OCI
import Platform
import Testing

private let digits = String(repeating: "ab", count: 32)

@Suite struct OCIDocumentTests {
  private func parse(_ text: String) throws -> ParsedJSON { try JSONParser.parse(Array(text.utf8)) }

  @Test(arguments: [
    "sha256:../../x", "sha256:" + String(repeating: "A", count: 64), "sha512:" + digits, digits,
    "sha256:" + digits + "0", "sha256:" + digits.dropLast(), "SHA256:" + digits,
    "sha256:/" + digits.dropFirst(), "",
  ])
  func `a digest in another form than sha256 and 64 small digits is refused`(_ text: String) throws
  {
    #expect(OCIDescriptor.digest(text) == nil)
    let json = try parse(#"{"manifests":[{"digest":"\#(text)","size":1}]}"#)
    #expect(throws: OCIError.self) { try OCIIndex(json, in: "index") }
  }

  @Test(arguments: ["-1", "1.5", "\"1\"", "9223372036854775808", "null"])
  func `a size that is not a number of bytes is refused`(_ size: String) throws {
    let json = try parse(#"{"manifests":[{"digest":"sha256:\#(digits)","size":\#(size)}]}"#)
    #expect(throws: OCIError.self) { try OCIIndex(json, in: "index") }
  }

  @Test func `a manifest of another artifact, or with unknown layers, is unsupported`() throws {
    let descriptor = #""digest":"sha256:\#(digits)","size":1"#
    for (config, layer) in [
      ("application/vnd.cncf.helm.config.v1+json", OCIMediaType.layer),
      (OCIMediaType.config, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
    ] {
      let json = try parse(
        #"{"config":{"mediaType":"\#(config)",\#(descriptor)},"#
          + #""layers":[{"mediaType":"\#(layer)",\#(descriptor)}]}"#)
      let error = #expect(throws: OCIError.self) { try OCIManifest(json, in: "manifest") }
      #expect(error?.errorCode == .unsupported)
    }
  }

  @Test func `a manifest with too many layers is refused`() throws {
    let layer = #"{"mediaType":"\#(OCIMediaType.layer)","digest":"sha256:\#(digits)","size":1}"#
    let layers = repeatElement(layer, count: OCIManifest.maxLayers + 1).joined(separator: ",")
    let json = try parse(
      #"{"config":{"mediaType":"\#(OCIMediaType.config)","digest":"sha256:\#(digits)","size":1},"#
        + #""layers":[\#(layers)]}"#)
    #expect(throws: OCIError.self) { try OCIManifest(json, in: "manifest") }
  }

  @Test func `a written manifest and configuration are read back`() throws {
    let digest = try #require(Digest(hex: digits))
    let layer = OCIDescriptor(
      mediaType: OCIMediaType.layer + "+gzip", digest: digest, sizeBytes: 7)
    let manifest = OCIManifest(
      config: OCIDescriptor(mediaType: OCIMediaType.config, digest: digest, sizeBytes: 5),
      layers: [layer], annotations: ["b": "2", "a": "1"])
    let read = try OCIManifest(JSONParser.parse(manifest.json.encoded), in: "manifest")
    #expect(read.layers == [layer])
    #expect(read.annotations == ["a": "1", "b": "2"])
    let config = OCIConfig(
      platform: OCIPlatform(architecture: "arm64", variant: "v8"), layerDigests: [digest],
      execution: .object([.init("Cmd", .array([.string("sh")]))]), created: "2026-01-01T00:00:00Z",
      history: [.init(created: "2026-01-01T00:00:00Z", createdBy: "x")])
    let back = try OCIConfig(JSONParser.parse(config.json.encoded), in: "config")
    #expect(back.platform.description == "linux/arm64/v8")
    #expect(back.layerDigests == [digest])
    #expect(back.execution == config.execution)
  }

  @Test func `platforms are parsed in the words of Go and of uname`() {
    #expect(OCIPlatform("linux/x86_64")?.description == "linux/amd64")
    #expect(OCIPlatform("linux/aarch64/v8")?.description == "linux/arm64/v8")
    for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "linux/\u{1b}x"] {
      #expect(OCIPlatform(text) == nil, "\(text)")
    }
    let machine = OCIPlatform.machine
    #expect(machine.matches(machine) && machine.system == "linux")
    #expect(!OCIPlatform(architecture: "s390x").matches(OCIPlatform(architecture: "arm64")))
  }
}
