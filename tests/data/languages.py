"""Sentences of several languages, with the encodings in which programs write them."""

from __future__ import annotations

from typing import Final

ENGLISH: Final = (
    "The film was a pleasure from beginning to end.",
    "I fell asleep long before it was over.",
    "Good music, but hardly a story.",
)
# The same three in each.
SENTENCES: Final = {
    ("cp932", "euc_jp"): (
        "最初から最後まで楽しめる映画でした。",
        "終わるずっと前に眠ってしまった。",
        "音楽は良いが、物語がほとんどない。",
    ),
    ("cp949",): (
        "처음부터 끝까지 즐거운 영화였습니다.",
        "끝나기 한참 전에 잠이 들었어요.",
        "음악은 좋지만 이야기가 거의 없다.",
    ),
    ("gb18030",): (
        "这部电影从头到尾都令人愉快。",
        "离结束还很早我就睡着了。",
        "音乐不错，但几乎没有故事。",
    ),
    ("big5",): (
        "這部電影從頭到尾都令人愉快。",
        "離結束還很早我就睡著了。",
        "音樂不錯，但幾乎沒有故事。",
    ),
    ("cp1251", "koi8_r", "cp866"): (
        "Фильм доставил удовольствие от начала до конца.",
        "Я заснул задолго до того, как он закончился.",
        "Музыка хорошая, но сюжета почти нет.",
    ),
    ("cp1250",): (
        "Film był przyjemnością od początku aż do końca.",
        "Zasnąłem na długo przed końcem, choć się starałem.",
        "Muzyka dobra, lecz treści prawie żadnej, źle się to ogląda.",
    ),
    ("cp1250", "iso8859_2"): (
        "Film byl potěšením od začátku až do konce.",
        "Usnul jsem dávno předtím, než skončil.",
        "Dobrá hudba, ale příběh téměř žádný.",
    ),
    ("cp1252", "latin_1"): (
        "Le film fut un plaisir du début à la fin, très réussi.",
        "Je me suis endormi bien avant qu'il ne soit terminé, hélas.",
        "Bonne musique, mais l'histoire a été bâclée.",
    ),
    ("cp1252", "cp850"): (
        "Der Film war von Anfang bis Ende ein Vergnügen, großartig.",
        "Ich schlief ein, lange bevor er vorüber war, schön blöd.",
        "Gute Musik, aber für mich fast keine Erzählung.",
    ),
    ("cp1252",): (
        "La película fue un placer de principio a fin, ¡qué emoción!",
        "Me dormí mucho antes de que acabara, qué lástima de año.",
        "Buena música, pero casi ningún guión.",
    ),
    ("cp1254",): (
        "Film baştan sona bir zevkti, çok beğendim.",
        "Bitmesine daha çok varken uyuyakalmışım.",
        "Müziği güzel, ama hikâyesi neredeyse yok, sıkıcı.",
    ),
    ("cp1253",): (
        "Η ταινία ήταν απόλαυση από την αρχή ως το τέλος.",
        "Αποκοιμήθηκα πολύ πριν τελειώσει.",
        "Καλή μουσική, αλλά σχεδόν καθόλου ιστορία.",
    ),
    ("cp1255",): (
        "הסרט היה תענוג מתחילתו ועד סופו.",
        "נרדמתי הרבה לפני שהוא נגמר.",
        "מוזיקה טובה, אבל כמעט בלי סיפור.",
    ),
    ("cp1256",): (
        "كان الفيلم متعة من البداية إلى النهاية.",
        "نمت قبل أن ينتهي بوقت طويل.",
        "موسيقى جيدة، لكن لا قصة تقريبا.",
    ),
}
