"""A table of countries: capital, continent, currency and language, from general knowledge."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Country:
    """One row; `name` carries its article where English wants one."""

    name: str
    capital: str
    continent: str
    currency: str
    language: str


_TABLE = """
Afghanistan|Kabul|Asia|afghani|Pashto
Albania|Tirana|Europe|lek|Albanian
Algeria|Algiers|Africa|dinar|Arabic
Angola|Luanda|Africa|kwanza|Portuguese
Argentina|Buenos Aires|South America|peso|Spanish
Armenia|Yerevan|Asia|dram|Armenian
Australia|Canberra|Oceania|dollar|English
Austria|Vienna|Europe|euro|German
Azerbaijan|Baku|Asia|manat|Azerbaijani
Bahrain|Manama|Asia|dinar|Arabic
Bangladesh|Dhaka|Asia|taka|Bengali
Belarus|Minsk|Europe|ruble|Belarusian
Belgium|Brussels|Europe|euro|Dutch
Botswana|Gaborone|Africa|pula|English
Brazil|Brasilia|South America|real|Portuguese
Bulgaria|Sofia|Europe|euro|Bulgarian
Cambodia|Phnom Penh|Asia|riel|Khmer
Cameroon|Yaounde|Africa|franc|French
Canada|Ottawa|North America|dollar|English
Chad|N'Djamena|Africa|franc|French
Chile|Santiago|South America|peso|Spanish
China|Beijing|Asia|yuan|Chinese
Colombia|Bogota|South America|peso|Spanish
Costa Rica|San Jose|North America|colon|Spanish
Croatia|Zagreb|Europe|euro|Croatian
Cuba|Havana|North America|peso|Spanish
Cyprus|Nicosia|Europe|euro|Greek
the Czech Republic|Prague|Europe|koruna|Czech
Denmark|Copenhagen|Europe|krone|Danish
Ecuador|Quito|South America|dollar|Spanish
Egypt|Cairo|Africa|pound|Arabic
El Salvador|San Salvador|North America|dollar|Spanish
Eritrea|Asmara|Africa|nakfa|Tigrinya
Estonia|Tallinn|Europe|euro|Estonian
Ethiopia|Addis Ababa|Africa|birr|Amharic
Fiji|Suva|Oceania|dollar|English
Finland|Helsinki|Europe|euro|Finnish
France|Paris|Europe|euro|French
Gabon|Libreville|Africa|franc|French
Georgia|Tbilisi|Asia|lari|Georgian
Germany|Berlin|Europe|euro|German
Ghana|Accra|Africa|cedi|English
Greece|Athens|Europe|euro|Greek
Guatemala|Guatemala City|North America|quetzal|Spanish
Guinea|Conakry|Africa|franc|French
Guyana|Georgetown|South America|dollar|English
Haiti|Port-au-Prince|North America|gourde|French
Honduras|Tegucigalpa|North America|lempira|Spanish
Hungary|Budapest|Europe|forint|Hungarian
Iceland|Reykjavik|Europe|krona|Icelandic
India|New Delhi|Asia|rupee|Hindi
Indonesia|Jakarta|Asia|rupiah|Indonesian
Iran|Tehran|Asia|rial|Persian
Iraq|Baghdad|Asia|dinar|Arabic
Ireland|Dublin|Europe|euro|English
Italy|Rome|Europe|euro|Italian
Jamaica|Kingston|North America|dollar|English
Japan|Tokyo|Asia|yen|Japanese
Jordan|Amman|Asia|dinar|Arabic
Kazakhstan|Astana|Asia|tenge|Kazakh
Kenya|Nairobi|Africa|shilling|Swahili
Kuwait|Kuwait City|Asia|dinar|Arabic
Laos|Vientiane|Asia|kip|Lao
Latvia|Riga|Europe|euro|Latvian
Lebanon|Beirut|Asia|pound|Arabic
Liberia|Monrovia|Africa|dollar|English
Libya|Tripoli|Africa|dinar|Arabic
Lithuania|Vilnius|Europe|euro|Lithuanian
Madagascar|Antananarivo|Africa|ariary|Malagasy
Malawi|Lilongwe|Africa|kwacha|English
Malaysia|Kuala Lumpur|Asia|ringgit|Malay
Mali|Bamako|Africa|franc|Bambara
Malta|Valletta|Europe|euro|Maltese
Mexico|Mexico City|North America|peso|Spanish
Moldova|Chisinau|Europe|leu|Romanian
Mongolia|Ulaanbaatar|Asia|tugrik|Mongolian
Morocco|Rabat|Africa|dirham|Arabic
Mozambique|Maputo|Africa|metical|Portuguese
Myanmar|Naypyidaw|Asia|kyat|Burmese
Namibia|Windhoek|Africa|dollar|English
Nepal|Kathmandu|Asia|rupee|Nepali
the Netherlands|Amsterdam|Europe|euro|Dutch
New Zealand|Wellington|Oceania|dollar|English
Nicaragua|Managua|North America|cordoba|Spanish
Niger|Niamey|Africa|franc|French
Nigeria|Abuja|Africa|naira|English
North Korea|Pyongyang|Asia|won|Korean
Norway|Oslo|Europe|krone|Norwegian
Oman|Muscat|Asia|rial|Arabic
Pakistan|Islamabad|Asia|rupee|Urdu
Panama|Panama City|North America|balboa|Spanish
Paraguay|Asuncion|South America|guarani|Spanish
Peru|Lima|South America|sol|Spanish
the Philippines|Manila|Asia|peso|Filipino
Poland|Warsaw|Europe|zloty|Polish
Portugal|Lisbon|Europe|euro|Portuguese
Qatar|Doha|Asia|riyal|Arabic
Romania|Bucharest|Europe|leu|Romanian
Russia|Moscow|Europe|ruble|Russian
Rwanda|Kigali|Africa|franc|Kinyarwanda
Saudi Arabia|Riyadh|Asia|riyal|Arabic
Senegal|Dakar|Africa|franc|French
Serbia|Belgrade|Europe|dinar|Serbian
Slovakia|Bratislava|Europe|euro|Slovak
Slovenia|Ljubljana|Europe|euro|Slovene
Somalia|Mogadishu|Africa|shilling|Somali
South Korea|Seoul|Asia|won|Korean
Spain|Madrid|Europe|euro|Spanish
Sudan|Khartoum|Africa|pound|Arabic
Sweden|Stockholm|Europe|krona|Swedish
Syria|Damascus|Asia|pound|Arabic
Taiwan|Taipei|Asia|dollar|Chinese
Thailand|Bangkok|Asia|baht|Thai
Tunisia|Tunis|Africa|dinar|Arabic
Turkey|Ankara|Asia|lira|Turkish
Uganda|Kampala|Africa|shilling|English
Ukraine|Kyiv|Europe|hryvnia|Ukrainian
the United Kingdom|London|Europe|pound|English
the United States|Washington|North America|dollar|English
Uruguay|Montevideo|South America|peso|Spanish
Uzbekistan|Tashkent|Asia|som|Uzbek
Venezuela|Caracas|South America|bolivar|Spanish
Vietnam|Hanoi|Asia|dong|Vietnamese
Yemen|Sanaa|Asia|rial|Arabic
Zambia|Lusaka|Africa|kwacha|English
Zimbabwe|Harare|Africa|dollar|English
"""

COUNTRIES = tuple(Country(*row.split("|")) for row in _TABLE.strip().splitlines())
