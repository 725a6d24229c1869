# SPDX-License-Identifier: Apache-2.0
"""Makes wordpiece.json: token ids as Hugging Face's `tokenizers` gives them.

    python3 -m venv VENV && VENV/bin/pip install tokenizers
    VENV/bin/python tests/golden/text/make_wordpiece.py

Sentences: KLUE-STS dev and KorSTS dev of data/ (CC BY-SA 4.0) and cases written by hand. All are
NFC, because the reference does not normalise and ours does.
"""

import gzip
import json
import pathlib
import unicodedata

import tokenizers
from tokenizers import BertWordPieceTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[3]
VOCAB = ROOT / "data" / "vocab" / "koelectra.txt"

BY_HAND = [
    "", " ", "\t\n\r ", "가", "A", "!", "안녕하세요", "  앞뒤  공백\t탭\n줄바꿈 ",
    "한국어와 English를 섞어 쓴 문장.", "2024년 5월 17일, 3.14%와 1,000원!", "e-mail: user@example.com",
    "https://example.org/path?x=1&y=2#top", "괄호(소괄호) [대괄호] {중괄호} <꺾쇠>", "따옴표 \"큰\" '작은' “둥근” ‘둥근’",
    "말줄임표… 가운뎃점·물결~ 긴줄—짧은줄–", "大韓民國은 民主共和國이다.", "漢字한글漢字", "日本語のテキストと한국어", "カタカナ・ひらがな",
    "ㄱㄴㄷ ㅏㅑㅓ ㅋㅋㅋ ㅠㅠ", "쀍뷁쀏 궯", "뷁" * 3, "가" * 99, "가" * 100, "가" * 101, "a" * 100, "a" * 101,
    "x" * 250, "하지만" * 30, "!" * 120, "café naïve Ångström Résumé", "ÀÉÎÕÜ àéîõü ñ ç ß", "Ελληνικά Σίσυφος",
    "Русский текст", "العربية", "עברית", "ไทย", "हिन्दी", "😀😂 이모지 👍🏽", "a\u200bb 제로\u200b폭", "a\u00a0b\u3000c\u2003d",
    "a\u2028b\u2029c", "널\u0000문자", "치환\ufffd문자", "\ufeffBOM", "소프트\u00ad하이픈", "사설\ue000영역", "[대괄호] [UNKNOWN]",
    "##이어붙임 # 해시", "x##y", "_밑줄_ ^캐럿^ `백틱` |막대| ~물결~ $달러$ +더하기+ =같음=", "№ ℃ ㎏ ① Ⅳ ㈜", "½ ¼ ²³",
    "全角ＡＢＣ１２３！？", "。、「」『』〈〉《》", "₩1,000 €20 £30 ¥40", "※ ★ ☆ ○ ● ◎ ◇ → ← ↑ ↓", "©®™§¶†‡", "don't can't it's",
    "U.S.A. vs. Ph.D.", "C++17과 C#", "iPhone13ProMax", "한국은행", "국민은행은행나무", "아버지가방에들어가신다", "값없이 닭볶음탕 읽힌다",
    "𠮷野家", "㐀㐁", "힣힢", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "1️⃣ 키캡",
]
LATIN = [
    "Hello World", "The QUICK Brown Fox", "café Naïve ÅNGSTRÖM Résumé", "ÀÉÎÕÜ àéîõü Ñ Ç", "Vũ Đức Đam", "Ελληνικά ΆΈΉ",
    "ЁЙ ёй", "MIXED case, With (Punctuation)!",
]
# Only right when the accents go: not NFC, or a lower case of two code points.
DECOMPOSED = ["Z\u0323\u030c combining", "I\u0307stanbul İstanbul", "re\u0301sume\u0301"]


def sentences(name, count):
    with gzip.open(ROOT / "data" / name / "dev.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        header = file.readline().rstrip("\n").split("\t")
        rows = [dict(zip(header, line.rstrip("\n").split("\t"))) for line in file]
    step = len(rows) // count
    picked = rows[:: step][:count]
    return [row["sentence1"] for row in picked], [(row["sentence1"], row["sentence2"]) for row in picked]


def encode(tokenizer, texts):
    return [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in texts]


def main():
    klue, klue_pairs = sentences("klue_sts", 120)
    kor, _ = sentences("kor_sts", 100)
    texts = klue + kor + BY_HAND
    foreign = [text for text in texts if not any("가" <= c <= "힣" for c in text)]
    for text in texts + LATIN:
        assert unicodedata.is_normalized("NFC", text), text
        # The reference would take a special token out of the text; ours reads it as text.
        assert not any(s in text for s in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")), text

    def make(lowercase, strip_accents):
        return BertWordPieceTokenizer(str(VOCAB), clean_text=True, handle_chinese_chars=True,
                                      strip_accents=strip_accents, lowercase=lowercase)

    cased, lowered, stripped = make(False, False), make(True, False), make(True, True)
    cased.enable_truncation(max_length=24, strategy="longest_first")
    pairs = []
    for a, b in klue_pairs[:40]:
        encoding = cased.encode(a, b)
        pairs.append({"a": a, "b": b, "ids": encoding.ids, "segments": encoding.type_ids})
    cased.no_truncation()

    golden = {
        "generator": "make_wordpiece.py",
        "reference": f"tokenizers {tokenizers.__version__}, BertWordPieceTokenizer",
        "vocabulary": "data/vocab/koelectra.txt",
        "cased": encode(cased, texts),
        "lower_case": encode(lowered, BY_HAND + LATIN),
        "lower_case_strip_accents": encode(stripped, foreign + LATIN + DECOMPOSED),
        "pair_max_length": 24,
        "pairs": pairs,
    }
    path = pathlib.Path(__file__).with_name("wordpiece.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\n")
        for i, (key, value) in enumerate(golden.items()):
            file.write(("" if i == 0 else ",\n") + json.dumps(key) + ": ")
            if isinstance(value, list):
                file.write("[\n" + ",\n".join(json.dumps(v, ensure_ascii=False) for v in value) + "\n]")
            else:
                file.write(json.dumps(value, ensure_ascii=False))
        file.write("\n}\n")
    print({k: len(v) for k, v in golden.items() if isinstance(v, list)})


if __name__ == "__main__":
    main()
