// Recipes of both kinds: each decodes as itself only.

import Codec
import Store
import TestSupport
import Testing

@Suite struct BlobLayoutTests {
  @Test func `a reconstruction recipe decodes to the encoded recipe`() throws {
    let recipe = Reconstruction(
      sizeBytes: 400_000_000, plan: SHA256.digest(of: [3]), planBytes: 2_000_000)
    #expect(try BlobLayout.decode(recipe.encode()) == .reconstruction(recipe))
    #expect(throws: CodecError.self) { try BlobLayout.decode(recipe.encode() + [0]) }
    #expect(throws: CodecError.self) { try BlobLayout.decode([3, 0]) }
    var chunks = ChunkList()
    chunks.append(SHA256.digest(of: [1]), lengthBytes: 5)
    chunks.append(SHA256.digest(of: [2]), lengthBytes: 5)
    #expect(recipe.encode().count < chunks.encode().count)
    // A reader that only accepts chunk lists must not decode it as an empty list.
    #expect(throws: CodecError.self) { try ChunkList.decode(recipe.encode()) }
  }
}
